using System.Diagnostics;

namespace KdServing.Benchmarks.Peers;

/// <summary>Why the peers can not be run here, in words for who typed the command.</summary>
internal sealed class PeersException(string message) : Exception(message);

/// <summary>An option that makes no sense, in words that name it.</summary>
internal sealed class PeersUsageException(string message) : Exception(message);

/// <summary>The peers' sources, and what is built of them.</summary>
/// <remarks>
/// The sources are not part of this repository. They are looked for at <c>--peers</c>, in <see cref="Variable"/>, and in <c>shared/peers</c>
/// beside or inside the checkout. Everything built lies in <c>.kd/peers</c>: <c>bin/</c>, <c>models/</c>.
/// </remarks>
internal sealed class PeerSources
{
    public const string Variable = "KD_PEERS";

    private PeerSources(string root, string folder)
    {
        Root = root;
        Folder = folder;
        Built = Path.Combine(root, ".kd", "peers");
    }

    /// <summary>The repository's root.</summary>
    public string Root { get; }

    /// <summary>Where the peers' sources are.</summary>
    public string Folder { get; }

    /// <summary>Where the built programs and models are; the peers are started in it.</summary>
    public string Built { get; }

    public string LoadGenerator => Path.Combine(Built, "bin", "loadgen");

    /// <summary>The real Grpc.AspNetCore without a model; built by <see cref="TryBuildAspNetCoreAsync"/>.</summary>
    public string AspNetCoreNoop => Path.Combine(Built, "aspnetcore", "AspNetCoreNoop.dll");

    public string Weights => Path.Combine(Built, "models", "cold_weights.bin");

    /// <param name="given">What <c>--peers</c> says; null: look for it.</param>
    /// <exception cref="PeersException">The sources are nowhere.</exception>
    public static PeerSources Find(string? given)
    {
        var root = Checkout.Root;
        var asked = given ?? Environment.GetEnvironmentVariable(Variable);
        string[] places = !string.IsNullOrEmpty(asked) ? [asked] : [Path.Combine(root, "..", "shared", "peers"), Path.Combine(root, "shared", "peers")];
        return places.FirstOrDefault(p => File.Exists(Path.Combine(p, "cpp_server", "server.cc"))) is { } found
            ? new(root, Path.GetFullPath(found))
            : throw new PeersException($"the peers' sources are not in {string.Join(" nor in ", places.Select(Path.GetFullPath))}. "
                + $"Give the folder that holds cpp_server/ and models/ with --peers DIR or {Variable}=DIR");
    }

    /// <summary>Builds what is older than its sources: a minute the first time, a moment afterwards.</summary>
    /// <exception cref="PeersException">A compiler or library is missing, or refuses; the message has its last words.</exception>
    public async Task BuildAsync(CancellationToken stop)
    {
        Directory.CreateDirectory(Built);
        if (await FailureAsync("build.log", stop, "bash", Path.Combine(Root, "benchmarks", "Peers", "native", "build.sh"), Folder, Built,
            Path.Combine(Root, "node_modules", "com.github.asus4.onnxruntime"), Path.Combine(Root, "src", "Contracts", "Protos")) is { } failure)
            throw new PeersException($"the C++ peers do not build {failure}\n"
                + "They need the Debian packages g++ libgrpc++-dev pkg-config protobuf-compiler protobuf-compiler-grpc python3-onnx");
    }

    /// <summary>Builds the peer on the real Grpc.AspNetCore.</summary>
    /// <returns>Why it can not be had: a package feed that lacks one of its packages. Null: it is built.</returns>
    public Task<string?> TryBuildAspNetCoreAsync(CancellationToken stop) => FailureAsync("aspnetcore.log", stop, Environment.ProcessPath!, "build",
        Path.Combine(Root, "benchmarks", "aspnetcore"), "-c", "Release", "-o", Path.GetDirectoryName(AspNetCoreNoop)!, "--nologo", "-v", "quiet");

    // Null: the command succeeded.
    private async Task<string?> FailureAsync(string logName, CancellationToken stop, string program, params string[] arguments)
    {
        var log = Path.Combine(Built, logName);
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var build = Process.Start(start)!;
        await using var registration = stop.Register(() => build.Kill(entireProcessTree: true));
        var error = build.StandardError.ReadToEndAsync(CancellationToken.None);
        var output = build.StandardOutput.ReadToEndAsync(CancellationToken.None);
        await build.WaitForExitAsync(CancellationToken.None);
        var words = await output + await error;
        await File.WriteAllTextAsync(log, words, CancellationToken.None);
        stop.ThrowIfCancellationRequested();
        return build.ExitCode == 0 ? null : $"({log}):\n{string.Join('\n', words.Split('\n', StringSplitOptions.RemoveEmptyEntries).TakeLast(5))}";
    }
}
