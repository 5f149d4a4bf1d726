namespace KdServing.Benchmarks.Peers;

/// <summary>What two rows are compared by.</summary>
/// <param name="Value">As the table and the report have it.</param>
/// <param name="Turns">Turn by turn: how far apart the turns are.</param>
internal sealed record PeerFigure(Func<PeerSamples, double> Value, Func<PeerSamples, IEnumerable<double>> Turns)
{
    public static readonly PeerFigure MaxRps = new(r => r.MaxRps, r => r.MaxRpsByRound);
    public static readonly PeerFigure C1P50 = MedianOf(r => r.C1P50s);
    public static readonly PeerFigure ServerUs = MedianOf(r => r.ServerUs);
    public static readonly PeerFigure OpenHalfP99 = MedianOf(r => r.OpenHalfP99s);
    public static readonly PeerFigure OpenReferenceP99 = MedianOf(r => r.OpenReferenceP99s);

    private static PeerFigure MedianOf(Func<PeerSamples, IEnumerable<double>> turns) => new(r => Median.Of(turns(r)), turns);
}
