using System.Globalization;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>A Redis and its asynchronous replica, which takes its place when it is killed; then that one gets a replica, and so on.</summary>
/// <remarks>Each has a folder of its own: what a server acknowledged while it was the primary stands in its append-only file.</remarks>
internal sealed class RedisPair(ChaosSystem system) : IAsyncDisposable
{
    private const int SigKill = 9;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly List<string> folders = [];
    private Server primary = null!;
    private Server? replica;

    private sealed record Server(ChildProcess Process, int Port, ConnectionMultiplexer Connection)
    {
        public IDatabase Database => Connection.GetDatabase();
    }

    /// <summary>The primary's data.</summary>
    public IDatabase Redis => primary.Database;

    /// <summary>Between the two: what does not pass is not replicated.</summary>
    public FaultProxy? Replication { get; private set; }

    /// <summary>What each server there was has written to its file, the first one first; a replica's begins when it has caught up.</summary>
    public IReadOnlyList<IReadOnlyList<AofEntry>> Files() => [.. folders.Select(f => AppendOnlyFile.Entries(f).ToList())];

    /// <summary>Starts the first one; everybody is led to it.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        primary = await StartServerAsync([], cancellation);
        LeadTo(primary.Port);
    }

    /// <summary>Gives the primary a replica, and waits until it has what the primary has.</summary>
    public async Task ReplicateAsync(CancellationToken cancellation)
    {
        Replication = new(primary.Port);
        var follower = replica = await StartServerAsync(["--replicaof", "127.0.0.1", Replication.Port.ToString(CultureInfo.InvariantCulture)], cancellation);
        // The replica calls itself in step a second before the primary begins to send it what is new.
        await system.UntilAsync(async () => (await InfoAsync(primary, "replication")).Contains("state=online", StringComparison.Ordinal),
            Patience, "the replica to follow its primary", cancellation);
        // It writes its file anew first; what came to a primary before that was done would stand in no file we read.
        await system.UntilAsync(async () => await InfoAsync(follower, "persistence") is var info && info.Contains("aof_rewrite_in_progress:0", StringComparison.Ordinal)
            && info.Contains("aof_rewrite_scheduled:0", StringComparison.Ordinal), Patience, "the replica's file to be written", cancellation);

        static async Task<string> InfoAsync(Server server, string section) => (string)(await server.Database.ExecuteAsync("INFO", section))!;
    }

    /// <summary>kill -9 for the primary; the replica is the primary, and everybody is led to it.</summary>
    public async Task FailOverAsync(CancellationToken cancellation)
    {
        var old = primary;
        old.Process.Signal(SigKill);
        await old.Process.WaitAsync(cancellation);
        primary = replica!;
        replica = null;
        await primary.Database.ExecuteAsync("REPLICAOF", "NO", "ONE");
        LeadTo(primary.Port);
        Replication!.Dispose();
        Replication = null;
        Release(old);
    }

    public async ValueTask DisposeAsync()
    {
        Replication?.Dispose();
        foreach (var server in ((Server?[])[replica, primary]).OfType<Server>())
        {
            await server.Process.StopAsync(Patience);
            Release(server);
        }
    }

    private void LeadTo(int port)
    {
        foreach (var link in (FaultProxy[])[system.DistillerLink, system.ServingLink, system.ProducerLink])
        {
            link.LeadTo(port);
            link.Set(LinkFault.None);
        }
    }

    private async Task<Server> StartServerAsync(IReadOnlyList<string> more, CancellationToken cancellation)
    {
        var name = $"redis-{folders.Count + 1}";
        var folder = Path.Combine(system.Folder.Root, name);
        Directory.CreateDirectory(folder);
        folders.Add(folder);
        var port = FreePort.Next();
        var process = ChildProcess.Start(PrivateRedis.Durable(name, system.Folder.Log(name), folder, port, more));
        await PrivateRedis.WaitAsync(process, port, cancellation);
        return new(process, port, await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{port},allowAdmin=true,syncTimeout=10000"));
    }

    private static void Release(Server server)
    {
        server.Connection.Close(allowCommandsToComplete: false);
        server.Process.Dispose();
    }
}
