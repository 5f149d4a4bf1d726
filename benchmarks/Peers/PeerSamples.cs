namespace KdServing.Benchmarks.Peers;

/// <summary>All samples of one server, method and N, in the order they were taken: the n-th of any two servers are of the same turn.</summary>
internal sealed class PeerSamples(string peer, string method, int n)
{
    // Where the server's processor time a request is read: both cores are busy, nobody queues long.
    private const int CpuConcurrency = 8;

    public string Peer { get; } = peer;

    public string Method { get; } = method;

    public int N { get; } = n;

    /// <summary>Requests in flight → samples, one a round.</summary>
    public SortedDictionary<int, List<LoadSample>> Closed { get; } = [];

    /// <summary>Open loop at half of the server's own maximum, as far as it was known then; with the rate.</summary>
    public List<(double Rate, LoadSample Sample)> OpenHalf { get; } = [];

    /// <summary>Open loop at half the reference peer's maximum, with the rate.</summary>
    public List<(double Rate, LoadSample Sample)> OpenReference { get; } = [];

    public IEnumerable<LoadSample> All => Closed.Values.SelectMany(s => s).Concat(OpenHalf.Concat(OpenReference).Select(s => s.Sample));

    /// <summary>Requests a second with as many in flight as suit it best.</summary>
    public double MaxRps => Closed.Values.Max(s => Median.Of(s.Select(x => x.Rps)));

    public IEnumerable<double> MaxRpsByRound => Enumerable.Range(0, Closed.Values.Min(s => s.Count)).Select(round => Closed.Values.Max(s => s[round].Rps));

    public IEnumerable<double> C1P50s => C1.Select(s => s.P50Ms);

    public IEnumerable<double> C1P99s => C1.Select(s => s.P99Ms);

    /// <summary>Processor time of the server a request, microseconds.</summary>
    public IEnumerable<double> ServerUs => (Closed.TryGetValue(CpuConcurrency, out var busy) ? busy : Closed.Last().Value).Select(s => s.ServerUs);

    public IEnumerable<double> OpenHalfP99s => OpenHalf.Select(o => o.Sample.P99Ms);

    public IEnumerable<double> OpenReferenceP99s => OpenReference.Select(o => o.Sample.P99Ms);

    private IEnumerable<LoadSample> C1 => Closed.TryGetValue(1, out var c1) ? c1 : [];
}
