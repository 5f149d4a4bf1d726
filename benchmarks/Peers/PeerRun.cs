namespace KdServing.Benchmarks.Peers;

/// <summary>What a run does.</summary>
/// <param name="OpenSamples">
/// Samples of each open loop a round: a p99 is the twenty slowest of a second's 2,000 requests, which one pause of the machine decides; many short ones, all servers in turn, meet
/// the same pauses.
/// </param>
internal sealed record PeerRunOptions(IReadOnlyList<string> Peers, IReadOnlyList<int> Candidates, IReadOnlyList<string> Methods, IReadOnlyList<int> Concurrency,
    int Rounds, int OpenSamples, SampleLength Length);

/// <summary>Runs the peers interleaved: every server is up the whole time, and each cell of the table visits all of them before the next.</summary>
/// <remarks>
/// Absolute figures drift on a shared machine; neighbours in time compare. Order is shuffled anew in every cell. Before it all, the servers'
/// scores for the same request are compared, and each server gets the same time to warm up.
/// </remarks>
internal sealed class PeerRun(PeerSources sources, PeerModelFolder model, PeerRunOptions options, Action<string> progress)
{
    private const double ScoreTolerance = 1e-5;
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);
    private static readonly SampleLength WarmUp = new(0.1, 2.5, Retries: 0);

    private readonly LoadGenerator generator = new(sources, model);
    private readonly List<PeerSamples> rows = [];
    private int done;

    /// <summary>Largest difference between two servers' scores of the same candidate.</summary>
    public double LargestScoreDifference { get; private set; }

    /// <exception cref="PeersException">A server does not start, or scores otherwise than the others.</exception>
    public async Task<IReadOnlyList<PeerSamples>> RunAsync(CancellationToken stop)
    {
        var lineup = PeerLineup.All(sources, model);
        var servers = new List<PeerServer>();
        try
        {
            foreach (var name in options.Peers)
                servers.Add(await StartAsync(lineup.Single(p => p.Name == name), stop));
            await CompareScoresAsync(servers, stop);
            foreach (var server in servers)
            {
                progress($"warming up {server.Peer.Name}");
                foreach (var method in options.Methods)
                    await generator.ClosedAsync(server, method, options.Candidates[^1], 8, WarmUp with { Seconds = WarmUp.Seconds / options.Methods.Count }, stop);
            }
            for (var round = 0; round < options.Rounds; round++)
                await RoundAsync(servers, round, stop);
            return rows;
        }
        finally
        {
            foreach (var server in servers)
                await server.DisposeAsync();
        }
    }

    private async Task<PeerServer> StartAsync(Peer peer, CancellationToken stop)
    {
        progress($"starting {peer.Name}");
        var server = PeerServer.Start(peer, sources);
        var until = DateTime.UtcNow + StartPatience;
        while (await generator.CheckAsync(server, "Rank", 10, peer.IsCatalog, expand: false, stop) is null)
        {
            if (server.HasExited || DateTime.UtcNow > until)
            {
                await server.DisposeAsync();
                throw new PeersException($"{peer.Name} does not answer ({generator.LastError.Trim()}); its log is in {sources.Built}/{peer.Name}.log");
            }
            await Task.Delay(100, stop);
        }
        return server;
    }

    private async Task CompareScoresAsync(List<PeerServer> servers, CancellationToken stop)
    {
        progress("comparing scores");
        var inline = servers.FirstOrDefault(s => !s.Peer.IsNoop && !s.Peer.IsCatalog);
        foreach (var n in options.Candidates)
        {
            foreach (var asCatalog in new[] { false, true })
            {
                var scored = servers.Where(s => !s.Peer.IsNoop && s.Peer.IsCatalog == asCatalog).ToList();
                // A catalog's scores are those of the same items sent with their features.
                float[]? expected = asCatalog && scored.Count > 0 && inline is not null ? await ScoresAsync(inline, "Rank", n, true, expand: true, stop) : null;
                foreach (var server in scored)
                {
                    foreach (var method in options.Methods)
                    {
                        var scores = await ScoresAsync(server, method, n, asCatalog, expand: false, stop);
                        expected ??= scores;
                        Require(server.Peer.Name, method, n, expected, scores);
                    }
                }
            }
        }
    }

    private async Task<float[]> ScoresAsync(PeerServer server, string method, int n, bool asCatalog, bool expand, CancellationToken stop) =>
        await generator.CheckAsync(server, method, n, asCatalog, expand, stop)
            ?? throw new PeersException($"{server.Peer.Name} refused a {method} request of {n} candidates: {generator.LastError.Trim()}");

    private void Require(string peer, string method, int n, float[] expected, float[] scores)
    {
        var difference = expected.Zip(scores, (a, b) => (double)Math.Abs(a - b)).Max();
        LargestScoreDifference = Math.Max(LargestScoreDifference, difference);
        if (!(difference <= ScoreTolerance) || expected.Distinct().Count() < Math.Min(n, 3))
            throw new PeersException($"{peer} ({method}, N={n}) scores otherwise than the first peer, by {difference:E1}: the comparison would be void");
    }

    private async Task RoundAsync(List<PeerServer> servers, int round, CancellationToken stop)
    {
        var total = options.Rounds * options.Candidates.Count * options.Methods.Count * servers.Count * (options.Concurrency.Count + 2 * options.OpenSamples);
        var random = new Random(100 + round);
        foreach (var n in options.Candidates)
        {
            foreach (var method in options.Methods)
            {
                foreach (var c in options.Concurrency)
                {
                    foreach (var server in Shuffled(servers, random))
                    {
                        progress($"round {round + 1} of {options.Rounds}, {++done} of {total}: N={n} {method} C={c} {server.Peer.Name}");
                        var sample = await generator.ClosedAsync(server, method, n, c, options.Length, stop);
                        var closed = Row(server.Peer.Name, method, n).Closed;
                        if (!closed.TryGetValue(c, out var samples))
                            closed[c] = samples = [];
                        samples.Add(sample);
                    }
                }
                // Half of the maximum of the table, as it stands: medians of the rounds so far. The best single sample would be a lucky one's.
                var reference = rows.Find(r => r.Peer == PeerLineup.Reference && r.Method == method && r.N == n)?.MaxRps;
                foreach (var server in Enumerable.Range(0, options.OpenSamples).SelectMany(_ => Shuffled(servers, random)))
                {
                    progress($"round {round + 1} of {options.Rounds}, {done += 2} of {total}: N={n} {method} open loop {server.Peer.Name}");
                    var row = Row(server.Peer.Name, method, n);
                    var half = row.MaxRps / 2;
                    row.OpenHalf.Add((half, await generator.OpenAsync(server, method, n, half, options.Length, stop)));
                    if (reference is { } maximum && !server.Peer.IsNoop)
                        row.OpenReference.Add((maximum / 2, await generator.OpenAsync(server, method, n, maximum / 2, options.Length, stop)));
                }
            }
        }
    }

    private PeerSamples Row(string peer, string method, int n)
    {
        var row = rows.Find(r => r.Peer == peer && r.Method == method && r.N == n);
        if (row is null)
            rows.Add(row = new(peer, method, n));
        return row;
    }

    private static PeerServer[] Shuffled(List<PeerServer> servers, Random random)
    {
        var order = servers.ToArray();
        random.Shuffle(order);
        return order;
    }
}
