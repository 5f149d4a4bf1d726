namespace KdServing.Benchmarks.Peers;

/// <summary>A ratio of ours to a peer's that was set as a goal. Each is checked by the same method at the same N.</summary>
/// <param name="Words">What is asked, for people.</param>
/// <param name="Ours">Our row.</param>
/// <param name="Peer">The peer's row.</param>
/// <param name="Figure">What of a row is compared.</param>
/// <param name="Bound">The ratio asked for.</param>
/// <param name="AtLeast">True: ours over the peer's must reach the bound; false: must not exceed it.</param>
internal sealed record PeerGoal(string Words, string Ours, string Peer, PeerFigure Figure, double Bound, bool AtLeast)
{
    // A request of 1000 candidates as raw int64 is 96 KB.
    private const int LargeBytes = 64_000;
    // One of 500 as varints is 17 KB.
    private const int SmallBytes = 18_000;

    /// <summary>Null: every row.</summary>
    public Func<PeerSamples, bool> Applies { get; init; } = _ => true;

    public static readonly IReadOnlyList<PeerGoal> All =
    [
        new("kd-inline: max rps ≥ 1.5 × cpp-async", "kd-inline", "cpp-async", PeerFigure.MaxRps, 1.5, true),
        new("kd-inline: C=1 p50 ≤ 0.75 × cpp-async", "kd-inline", "cpp-async", PeerFigure.C1P50, 0.75, false),
        new("kd-inline: server CPU ≤ cpp-dense", "kd-inline", "cpp-dense", PeerFigure.ServerUs, 1, false),
        new("kd-inline: max rps ≥ cpp-hand / 1.15", "kd-inline", "cpp-hand", PeerFigure.MaxRps, 1 / 1.15, true),
        new("kd-inline: open loop at own 50 %, p99 ≤ cpp-async", "kd-inline", "cpp-async", PeerFigure.OpenHalfP99, 1, false),
        new("kd-inline: open loop at cpp-async's 50 %, p99 ≤ 0.6 × cpp-async", "kd-inline", "cpp-async", PeerFigure.OpenReferenceP99, 0.6, false),
        new("kd-catalog: max rps ≥ 3.5 × cpp-async", "kd-catalog", "cpp-async", PeerFigure.MaxRps, 3.5, true) { Applies = r => r.N >= 1000 },
        new("kd-catalog: C=1 p50 ≤ 0.35 × cpp-async", "kd-catalog", "cpp-async", PeerFigure.C1P50, 0.35, false) { Applies = r => r.N >= 1000 },
        new("kd-catalog: max rps ≥ 1.2 × cpp-catalog", "kd-catalog", "cpp-catalog", PeerFigure.MaxRps, 1.2, true),
        new("kd-catalog: max rps ≥ 1.2 × cpp-catalog-hand", "kd-catalog", "cpp-catalog-hand", PeerFigure.MaxRps, 1.2, true),
        new("kd-noop: max rps ≥ 1.1 × cpp-noop (to 17 KB)", "kd-noop", "cpp-noop", PeerFigure.MaxRps, 1.1, true) { Applies = IsSmall },
        new("kd-noop: C=1 p50 ≤ 0.8 × cpp-noop (to 17 KB)", "kd-noop", "cpp-noop", PeerFigure.C1P50, 0.8, false) { Applies = IsSmall },
        new("kd-noop: max rps ≥ 1.5 × aspnetcore-noop", "kd-noop", PeerLineup.AspNetCore, PeerFigure.MaxRps, 1.5, true) { Applies = r => r.N >= 1000 },
        new("kd-noop: max rps ≥ 0.9 × cpp-noop (96 KB)", "kd-noop", "cpp-noop", PeerFigure.MaxRps, 0.9, true) { Applies = IsLarge },
    ];

    /// <summary>Of the two rows' figures, as anybody works it out from the table; held against the bound.</summary>
    public double Ratio(PeerSamples ours, PeerSamples peer) => Figure.Value(ours) / Figure.Value(peer);

    /// <summary>Of each turn, whose two samples are neighbours in time; in ascending order.</summary>
    public IReadOnlyList<double> TurnRatios(PeerSamples ours, PeerSamples peer) => [.. Figure.Turns(ours).Zip(Figure.Turns(peer), (a, b) => a / b).Order()];

    public bool IsMet(double ratio) => AtLeast ? ratio >= Bound : ratio <= Bound;

    private static bool IsLarge(PeerSamples row) => RequestBytes(row) > LargeBytes;

    private static bool IsSmall(PeerSamples row) => RequestBytes(row) < SmallBytes;

    private static long RequestBytes(PeerSamples row) => row.Closed.First().Value[0].RequestBytes;
}
