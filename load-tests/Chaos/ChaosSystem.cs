using System.Diagnostics;
using System.Globalization;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>The parts under test, each reached through a proxy of its own where Redis is concerned, and the means to hurt them.</summary>
/// <remarks>Every part is the program a person would start. One thread of commands; <see cref="DeadServing"/> may be read by any.</remarks>
internal sealed class ChaosSystem : IAsyncDisposable
{
    private const int SigKill = 9;
    private const int SigStop = 19;
    private const int SigCont = 18;
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);

    private readonly Dictionary<string, ChildProcess> parts = [];
    private readonly HashSet<string> mayEnd = [];
    private readonly HttpClient http = new() { Timeout = TimeSpan.FromSeconds(2) };
    private readonly ChaosStudent student;
    private readonly int redisPort = FreePort.Next();
    private readonly int servingPort = FreePort.Next();
    private readonly int statusPort = FreePort.Next();
    private readonly SmallDisk? disk;
    private string inOffice = "distiller";

    /// <param name="withDisk">Put repository and checkpoints on a small disk of their own, where this process may mount one.</param>
    public ChaosSystem(DemoFolder folder, ChaosStudent student, bool withDisk)
    {
        Folder = folder;
        this.student = student;
        disk = withDisk ? SmallDisk.TryMount(Path.Combine(folder.Root, "disk"), DiskMegabytes) : null;
        RedisFolder = folder.Redis;
        Repository = disk is null ? folder.Repository : Path.Combine(disk.Path, "repository");
        State = disk is null ? folder.DistillerState : Path.Combine(disk.Path, "distiller");
        DistillerLink = new(redisPort);
        ServingLink = new(redisPort);
        ProducerLink = new(redisPort);
    }

    // Holds some versions and checkpoints of the small student; one of a dataset may need more.
    private const int DiskMegabytes = 1024;

    public DemoFolder Folder { get; }

    /// <summary>Redis' own; its append-only file is the account of the streams.</summary>
    public string RedisFolder { get; init; }

    public string Repository { get; init; }

    /// <summary>The Distiller's.</summary>
    public string State { get; init; }

    /// <summary>Options that every Distiller gets beside the usual ones.</summary>
    public IReadOnlyList<string> DistillerOptions { get; init; } = [];

    /// <summary>Options that Redis gets; one that is given already is replaced.</summary>
    public IReadOnlyList<string> RedisOptions { get; init; } = [];

    /// <summary>Words before a part's command, by its name: what runs it.</summary>
    public Func<string, IReadOnlyList<string>> RunBy { get; init; } = _ => [];

    /// <summary>Redis itself, past the proxies.</summary>
    public int RedisPort => redisPort;

    public SmallDisk? Disk => disk;

    public FaultProxy DistillerLink { get; }

    public FaultProxy ServingLink { get; }

    public FaultProxy ProducerLink { get; }

    /// <summary>Name of the server among the parts and in the logs.</summary>
    public string ServingName { get; init; } = "serving";

    public Uri ServingAddress => new($"http://127.0.0.1:{servingPort}");

    /// <summary>When Serving was dead: from its kill until it served a version again.</summary>
    public DeadTimes DeadServing { get; } = new();

    /// <summary>Parts that ended though nobody ended them, with their last words.</summary>
    public List<string> UnexpectedEnds { get; } = [];

    /// <summary>What the status file of the Distiller in office says.</summary>
    public StatusFile Distiller => Status(inOffice);

    /// <summary>What a Distiller's status file says.</summary>
    /// <param name="name">As it was started.</param>
    public StatusFile Status(string name) => StatusFile.Read(Path.Combine(Folder.Root, name + ".json"));

    public async Task StartRedisAsync(CancellationToken cancellation)
    {
        var redis = Start(PrivateRedis.Durable("redis", Folder.Log("redis"), RedisFolder, redisPort, RedisOptions));
        await PrivateRedis.WaitAsync(redis, redisPort, cancellation);
    }

    /// <param name="name">A second one is a standby: it shares state and repository.</param>
    public ChildProcess StartDistiller(string name = "distiller", params string[] more)
    {
        if (name == "distiller")
            inOffice = name;
        // What a predecessor said of itself is not this one's.
        File.Delete(Path.Combine(Folder.Root, name + ".json"));
        return Start(new(name, 5, Folder.Log(name),
        [
            "dotnet", Installation.Distiller, "--config", student.ConfigPath, "--redis", Address(DistillerLink.Port), "--repository", Repository,
            "--state", State, "--status", Path.Combine(Folder.Root, name + ".json"), .. DistillerOptions, .. more,
        ]));
    }

    public void StartServing() => Start(new(ServingName, 0, Folder.Log(ServingName),
    [
        "dotnet", Installation.Serving, "--repository", Repository, "--model", student.Model, "--redis", Address(ServingLink.Port),
        "--port", Text(servingPort), "--http-port", Text(statusPort),
        // It is killed and started over and over beside a Distiller: how fast its first replies are is not what a drill looks at.
        "--rehearsal-seconds", "0",
    ]));

    /// <summary>A connection past the proxies, for the harness's own accounts.</summary>
    public ConnectionMultiplexer Connect() => Connect(redisPort);

    /// <summary>A connection through the producer's proxy.</summary>
    public ConnectionMultiplexer ConnectProducer() => Connect(ProducerLink.Port);

    /// <summary>kill -9, and waits until it is gone.</summary>
    public async Task KillAsync(string name)
    {
        var part = parts[name];
        mayEnd.Add(name);
        part.Signal(SigKill);
        await part.WaitAsync(CancellationToken.None);
    }

    public void Stop(string name) => parts[name].Signal(SigStop);

    public void Continue(string name) => parts[name].Signal(SigCont);

    /// <summary>From now on this part's end is no accident.</summary>
    public void MayEnd(string name) => mayEnd.Add(name);

    /// <summary>A part under another name: a standby that took over is the Distiller from now on.</summary>
    public void Rename(string from, string to)
    {
        if (parts.Remove(to, out var old))
            old.Dispose();
        parts[to] = parts[from];
        parts.Remove(from);
        mayEnd.Remove(to);
        inOffice = from;
    }

    public bool IsRunning(string name) => parts.TryGetValue(name, out var part) && !part.HasExited;

    /// <summary>Null while it runs.</summary>
    public int? ExitCode(string name) => parts.TryGetValue(name, out var part) && part.HasExited ? part.ExitCode : null;

    /// <summary>Notes parts that ended by themselves, and starts them again.</summary>
    public async Task CheckAsync(CancellationToken cancellation)
    {
        foreach (var (name, part) in parts.ToArray())
        {
            if (!part.HasExited || mayEnd.Contains(name))
                continue;
            UnexpectedEnds.Add($"{name} {part.ExitReason()}: {string.Join(" / ", part.LogTail(2))}");
            if (UnexpectedEnds.Count > 20)
                throw new DemoException($"parts end again and again: {UnexpectedEnds[^1]}");
            if (name == "redis")
                await StartRedisAsync(cancellation);
            else if (name == ServingName)
                StartServing();
            else
                StartDistiller(name);
        }
    }

    /// <summary>Asks a part to stop in order.</summary>
    /// <returns>False when it had to be killed.</returns>
    public async Task<bool> StopInOrderAsync(string name, TimeSpan patience)
    {
        mayEnd.Add(name);
        return !parts.TryGetValue(name, out var part) || await part.StopAsync(patience);
    }

    /// <summary>What <c>/status.json</c> says; empty when Serving does not answer.</summary>
    public async Task<StatusFile> ServingStatusAsync()
    {
        try
        {
            return StatusFile.Parse(await http.GetStringAsync(new Uri($"http://127.0.0.1:{statusPort}/status.json")));
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or IOException)
        {
            return StatusFile.Empty;
        }
    }

    /// <summary>Waits until Serving ranks.</summary>
    public async Task ServesAsync(CancellationToken cancellation) =>
        await UntilAsync(async () => (await ServingStatusAsync()).Text("state") == "serving", StartPatience, "Serving to serve a version", cancellation);

    /// <exception cref="DemoException">It did not come true in time.</exception>
    public async Task UntilAsync(Func<Task<bool>> condition, TimeSpan patience, string what, CancellationToken cancellation)
    {
        for (var clock = Stopwatch.StartNew(); !await condition(); await Task.Delay(20, cancellation))
        {
            await CheckAsync(cancellation);
            if (clock.Elapsed > patience)
                throw new DemoException($"waited {patience.TotalSeconds:F0} s for {what}; see the logs in {Folder.Logs}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Redis last: the others want to say goodbye to it.
        foreach (var name in parts.Keys.OrderBy(n => n == "redis").ToArray())
        {
            if (IsRunning(name))
            {
                Continue(name);
                await StopInOrderAsync(name, TimeSpan.FromSeconds(15));
            }
        }
        foreach (var part in parts.Values)
            part.Dispose();
        foreach (var link in (FaultProxy[])[DistillerLink, ServingLink, ProducerLink])
            link.Dispose();
        http.Dispose();
        disk?.Dispose();
    }

    private ChildProcess Start(ChildSpec spec)
    {
        if (parts.Remove(spec.Name, out var old))
            old.Dispose();
        mayEnd.Remove(spec.Name);
        return parts[spec.Name] = ChildProcess.Start(spec with { Command = [.. RunBy(spec.Name), .. spec.Command] });
    }

    private static ConnectionMultiplexer Connect(int port) =>
        ConnectionMultiplexer.Connect($"{Address(port)},abortConnect=false,connectRetry=3,connectTimeout=2000,syncTimeout=10000,keepAlive=10");

    private static string Address(int port) => $"127.0.0.1:{port}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
