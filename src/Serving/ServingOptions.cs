using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Serving;

/// <summary>How a server runs; what the command line says.</summary>
public sealed record ServingOptions
{
    /// <summary>Folder of the model repository; it need not exist yet.</summary>
    public required string Repository { get; init; }

    public required string Model { get; init; }

    /// <summary>Address both ports listen on.</summary>
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>gRPC, HTTP/2 without TLS; 0: any free port.</summary>
    public int Port { get; init; }

    /// <summary>Status page, metrics and probe, HTTP/1.1; 0: any free port; null: none.</summary>
    public int? HttpPort { get; init; }

    /// <summary><c>host:port</c> of the Redis that announces versions; null: only the folder is watched.</summary>
    public string? Redis { get; init; }

    public InferenceDevice Device { get; init; }

    /// <summary>How a GPU is used.</summary>
    public DeviceOptions DeviceOptions { get; init; } = new();

    /// <summary>The device of a test, in place of <see cref="Device"/>.</summary>
    internal Accelerator? Accelerator { get; init; }

    /// <summary>What computes scores.</summary>
    public EngineChoice Engine { get; init; }

    /// <summary>Longest wait of a request for others to be scored with, microseconds; 0: none waits; null: as the device makes it worth.</summary>
    public int? BatchMicroseconds { get; init; }

    /// <summary>Candidates of requests that are scored together.</summary>
    public int BatchCandidates { get; init; } = BatchingOptions.DefaultMaxCandidates;

    /// <summary>Requests wait for others whether it helps or not.</summary>
    public bool BatchForced { get; init; }

    /// <summary>File the status is written to once a second; null: none.</summary>
    public string? StatusFile { get; init; }

    /// <summary>How much loading gives way to requests, 0 to 19.</summary>
    public int LoaderNiceness { get; init; } = 10;

    /// <summary>Time between two looks for a new version.</summary>
    public TimeSpan LookInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Time after which a version is warm enough.</summary>
    public TimeSpan WarmUpLimit { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest time the server rehearses its first version before that serves; zero: it does not.</summary>
    public TimeSpan RehearsalLimit { get; init; }

    /// <summary>Time requests in flight have to finish when the server stops.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Time clients have to read the end of streams that a stop has ended, before their connections are closed.</summary>
    public TimeSpan StreamLinger { get; init; } = TimeSpan.FromMilliseconds(500);

    public RankingLimits Limits { get; init; } = new();

    /// <summary>Null: no item catalog; requests bring their items' features.</summary>
    public CatalogOptions? Catalog { get; init; }

    /// <summary>How carefully a new version is taken into service.</summary>
    public RolloutPolicy Rollout { get; init; } = new();

    /// <summary>Port of the control listener; 0: any free port; null: nobody can command this server.</summary>
    public int? ControlPort { get; init; }

    /// <summary>Address of the control listener; one others can reach needs <see cref="ControlTokenFile"/>.</summary>
    public string ControlAddress { get; init; } = "127.0.0.1";

    /// <summary>File whose first line is the token that commands must carry; null: whoever is on this machine may command.</summary>
    public string? ControlTokenFile { get; init; }

    /// <summary>Folder of what must survive a restart: pins, and copies of the versions relied on; null: nothing does.</summary>
    public string? State { get; init; }

    /// <summary>File of the public keys whose signatures are trusted; null: signatures are not looked at.</summary>
    public string? TrustedKeys { get; init; }

    /// <summary>Versions are fetched through Redis into <see cref="Repository"/>, which is then this server's own.</summary>
    public bool Transfer { get; init; }

    /// <exception cref="ContractException">An option makes no sense; names it as the command line does.</exception>
    public ServingOptions Require()
    {
        Identifier.Require(Model, "--model");
        if (File.Exists(Repository))
            throw new ContractException("--repository", $"{Repository} is a file, not a folder");
        RequireRange(Port, 0, 65535, "--port");
        RequireRange(HttpPort ?? 0, 0, 65535, "--http-port");
        if (Port != 0 && Port == HttpPort)
            throw new ContractException("--http-port", "is the same as --port; the two speak different protocols");
        if (!System.Net.IPAddress.TryParse(Address, out _))
            throw new ContractException("--address", "must be an IP address, e.g. 127.0.0.1 or 0.0.0.0");
        RequireRange(LoaderNiceness, 0, 19, "--loader-niceness");
        if (!(RehearsalLimit >= TimeSpan.Zero))
            throw new ContractException("--rehearsal-seconds", "must be 0 or more");
        RequireRange(Limits.MaxCandidates, 1, 1_000_000, "--max-candidates");
        RequireRange(Limits.Concurrency, 1, 1024, "--concurrency");
        RequireRange(DeviceOptions.Lanes, 1, 16, "--cuda-lanes");
        RequireRange(BatchMicroseconds ?? 0, 0, 100_000, "--batch-us");
        RequireRange(BatchCandidates, 2, 1_000_000, "--batch-candidates");
        RequireRange(ControlPort ?? 0, 0, 65535, "--control-port");
        if (ControlPort is { } control and not 0 && (control == Port || control == HttpPort))
            throw new ContractException("--control-port", "is the same as another port; it is a listener of its own");
        if (!System.Net.IPAddress.TryParse(ControlAddress, out _))
            throw new ContractException("--control-address", "must be an IP address, e.g. 127.0.0.1");
        if (ControlPort is null && ControlTokenFile is not null)
            throw new ContractException("--control-token-file", "is for a control listener; give --control-port too");
        if (Transfer && Redis is null)
            throw new ContractException("--transfer", "needs --redis: versions are fetched from there");
        if (State is not null && File.Exists(State))
            throw new ContractException("--state", $"{State} is a file, not a folder");
        Rollout.Require();
        if (!(Limits.MaxQueueMs >= 0))
            throw new ContractException("--max-queue-ms", "must be 0 or more");
        Catalog?.Require();
        return this;
    }

    private static void RequireRange(int value, int low, int high, string option)
    {
        if (value < low || value > high)
            throw new ContractException(option, $"is {value}; must be {low} to {high}");
    }
}
