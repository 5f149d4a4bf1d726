using KdServing.Benchmarks.Peers;

namespace KdServing.Benchmarks.Tests.Peers;

/// <summary>What servers might have measured.</summary>
internal static class Samples
{
    public static LoadSample Closed(double rps = 1000, double p50 = 1, double serverUs = 100, double otherCpu = 0, long failures = 0, int bytes = 17_000) =>
        new(IsOpen: false, rps, p50, P99Ms: 2 * p50, P999Ms: 4 * p50, serverUs, ClientUs: 50, otherCpu, StolenCpu: 0, failures, bytes);

    public static LoadSample Open(double p99 = 2, double otherCpu = 0, double stolenCpu = 0) =>
        Closed() with { IsOpen = true, P99Ms = p99, OtherCpu = otherCpu, StolenCpu = stolenCpu };

    /// <param name="closed">Requests in flight, and a sample a round.</param>
    public static PeerSamples Of(string peer, string method = "Rank", int n = 500, params (int InFlight, LoadSample[] Rounds)[] closed)
    {
        var row = new PeerSamples(peer, method, n);
        foreach (var (inFlight, rounds) in closed)
            row.Closed[inFlight] = [.. rounds];
        return row;
    }
}
