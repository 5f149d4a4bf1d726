namespace KdServing.Benchmarks.Peers;

/// <summary>One server of the comparison.</summary>
/// <param name="Name">As in the report.</param>
/// <param name="Protocol"><c>peers</c> (peer.proto) or <c>kd</c> (kdserving.v1.Ranking): what the load generator speaks to it.</param>
/// <param name="Command">Program and arguments; <c>{port}</c> stands for the port it is to listen on.</param>
internal sealed record Peer(string Name, string Protocol, IReadOnlyList<string> Command)
{
    /// <summary>Environment variables it needs beside ours.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Candidates are item numbers, resolved in the server's catalog.</summary>
    public bool IsCatalog { get; init; }

    /// <summary>It computes nothing: its scores are not compared.</summary>
    public bool IsNoop { get; init; }

    /// <summary>One of ours.</summary>
    public bool IsOurs => Name.StartsWith("kd-", StringComparison.Ordinal);
}

/// <summary>The peers by name, and how each is started.</summary>
internal static class PeerLineup
{
    /// <summary>The peer every ratio is to: C++ asynchronous gRPC with the whole graph in ONNX Runtime.</summary>
    public const string Reference = "cpp-async";

    /// <summary>The real Grpc.AspNetCore without a model.</summary>
    public const string AspNetCore = "aspnetcore-noop";

    public static readonly IReadOnlyList<string> Quick = ["cpp-noop", "cpp-async", "cpp-dense", "kd-noop", "kd-inline", "kd-catalog"];

    /// <summary>Every peer, in the order of the lists people see.</summary>
    public static readonly IReadOnlyList<string> Names =
        ["cpp-noop", "cpp-async", "cpp-dense", "cpp-hand", "cpp-catalog", "cpp-catalog-hand", AspNetCore, "kd-noop", "kd-inline", "kd-catalog"];

    /// <summary>How each of <see cref="Names"/> is started.</summary>
    public static IReadOnlyList<Peer> All(PeerSources sources, PeerModelFolder model)
    {
        string[] cpp = [Path.Combine(sources.Built, "bin", "cpp_server"), "--port", "{port}", "--engine"];
        string[] catalog = [Path.Combine(sources.Built, "bin", "catalog_server"), "--port", "{port}", "--items", $"{PeerModelFolder.CatalogItems}", "--engine"];
        // The others refuse nobody, however long their line: nor do ours here, and figures are of all requests.
        string[] serve = [DotNet, Ours(sources, "src/Serving", "KdServing.Serving.dll"), "--repository", model.Repository, "--model", PeerModel.Name, "--port", "{port}",
            "--max-queue-ms", "10000"];
        return
        [
            new("cpp-noop", "peers", [.. cpp, "noop"]) { IsNoop = true },
            new("cpp-async", "peers", [.. cpp, "ort"]),
            new("cpp-dense", "peers", [.. cpp, "ortdense"]),
            new("cpp-hand", "peers", [.. cpp, "hand"]),
            new("cpp-catalog", "peers", [.. catalog, "ort"]) { IsCatalog = true },
            new("cpp-catalog-hand", "peers", [.. catalog, "hand"]) { IsCatalog = true },
            new(AspNetCore, "kd", [DotNet, sources.AspNetCoreNoop, "{port}"]) { IsNoop = true, Environment = TunedCollector },
            new("kd-noop", "kd", NoopCommand(sources)) { IsNoop = true },
            new("kd-inline", "kd", serve),
            new("kd-catalog", "kd", [.. serve, .. model.CatalogArguments]) { IsCatalog = true },
        ];
    }

    // Beating it as it comes would be unfair: a request of 1,000 candidates puts columns on the large object heap, and every few requests collect it.
    private static readonly Dictionary<string, string> TunedCollector = new() { ["DOTNET_GCLOHThreshold"] = "0x200000", ["DOTNET_GCgen0size"] = "0x4000000" };

    private static string DotNet => Environment.ProcessPath!;

    // Our gRPC layer under the very settings of the server: its runtime configuration, another program.
    private static string[] NoopCommand(PeerSources sources) =>
    [
        DotNet, "exec", "--runtimeconfig", Ours(sources, "src/Serving", "KdServing.Serving.runtimeconfig.json"),
        typeof(PeerLineup).Assembly.Location, NoopServer.Verb, "{port}",
    ];

    private static string Ours(PeerSources sources, string project, string file)
    {
        // Same configuration as this program: …/bin/<Release|Debug>/net10.0/
        var framework = new DirectoryInfo(AppContext.BaseDirectory);
        var path = Path.Combine(sources.Root, project, "bin", framework.Parent!.Name, framework.Name, file);
        return File.Exists(path) ? path : throw new PeersException($"{path} is not built; run ./kd setup");
    }
}
