using KdServing.Contracts;
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

    /// <summary>File the status is written to once a second; null: none.</summary>
    public string? StatusFile { get; init; }

    /// <summary>How much loading gives way to requests, 0 to 19.</summary>
    public int LoaderNiceness { get; init; } = 10;

    /// <summary>Time between two looks for a new version.</summary>
    public TimeSpan LookInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Time after which a version is warm enough.</summary>
    public TimeSpan WarmUpLimit { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Time requests in flight have to finish when the server stops.</summary>
    public TimeSpan StopTimeout { get; init; } = TimeSpan.FromSeconds(20);

    public RankingLimits Limits { get; init; } = new();

    /// <summary>Null: no item catalog; requests bring their items' features.</summary>
    public CatalogOptions? Catalog { get; init; }

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
        RequireRange(Limits.MaxCandidates, 1, 1_000_000, "--max-candidates");
        RequireRange(Limits.Concurrency, 1, 1024, "--concurrency");
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
