using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace KdServing.Benchmarks.Peers;

/// <summary>What one sample of load measured. Times are milliseconds from the (intended) send.</summary>
/// <param name="ServerUs">Processor time the server took a request, microseconds.</param>
/// <param name="OtherCpu">Cores that were busy with neither the server nor the generator: how disturbed the sample is.</param>
/// <param name="Failures">Requests refused, failed or never sent.</param>
internal sealed record LoadSample(double Rps, double P50Ms, double P99Ms, double P999Ms, double ServerUs, double ClientUs, double OtherCpu, long Failures,
    int RequestBytes);

/// <summary>Runs the C++ generator (<c>native/loadgen.cc</c>) against a server: one process a sample.</summary>
internal sealed class LoadGenerator(PeerSources sources, PeerModelFolder model)
{
    /// <summary>Foreign load above which a sample is taken again, cores; as the peers' own runner has it.</summary>
    public const double NoiseCores = 0.15;

    /// <summary>Scores of the check request; null while the server does not answer it.</summary>
    /// <param name="expand">Candidates of a catalog are sent with their features.</param>
    public async Task<float[]?> CheckAsync(PeerServer server, string method, int n, bool asCatalog, bool expand, CancellationToken stop)
    {
        File.Delete(model.Scores);
        List<string> arguments = [.. Arguments(server, method, n, asCatalog), "--mode", "check", "--pool", "1", "--channels", "1", "--scores", model.Scores];
        if (expand)
            arguments.AddRange(["--expand", "1"]);
        var line = await RunAsync(arguments, stop);
        return line is null ? null : MemoryMarshal.Cast<byte, float>(await File.ReadAllBytesAsync(model.Scores, stop)).ToArray();
    }

    /// <summary>So many requests in flight at any time.</summary>
    public Task<LoadSample> ClosedAsync(PeerServer server, string method, int n, int concurrency, SampleLength length, CancellationToken stop) =>
        SampleAsync(server, [.. Arguments(server, method, n, server.Peer.IsCatalog), "--mode", "closed", "--concurrency", Text(concurrency)], length, stop);

    /// <summary>So many requests a second, whatever the replies.</summary>
    public Task<LoadSample> OpenAsync(PeerServer server, string method, int n, double rate, SampleLength length, CancellationToken stop) =>
        SampleAsync(server, [.. Arguments(server, method, n, server.Peer.IsCatalog), "--mode", "open", "--rate", Text(rate)], length, stop);

    // The least disturbed of up to 1 + retries samples.
    private async Task<LoadSample> SampleAsync(PeerServer server, IReadOnlyList<string> arguments, SampleLength length, CancellationToken stop)
    {
        LoadSample? best = null;
        for (var attempt = 0; attempt <= length.Retries && !(best?.OtherCpu <= NoiseCores); attempt++)
        {
            var line = await RunAsync([.. arguments, "--warmup", Text(length.WarmUpSeconds), "--seconds", Text(length.Seconds), "--server-pids", Text(server.Id)], stop)
                ?? throw new PeersException($"{server.Peer.Name} stopped answering; its log is in {sources.Built}/{server.Peer.Name}.log");
            var sample = Parse(line.RootElement);
            if (best is null || sample.OtherCpu < best.OtherCpu)
                best = sample;
        }
        return best!;
    }

    private List<string> Arguments(PeerServer server, string method, int n, bool asCatalog) =>
    [
        "--target", $"127.0.0.1:{server.Port}", "--protocol", server.Peer.Protocol, "--method", method, "--n", Text(n), "--ids", model.RawIds,
        "--catalog", asCatalog ? Text(PeerModelFolder.CatalogItems) : "0",
    ];

    private async Task<JsonDocument?> RunAsync(IReadOnlyList<string> arguments, CancellationToken stop)
    {
        var start = new ProcessStartInfo(sources.LoadGenerator, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        await using var registration = stop.Register(process.Kill);
        var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        var output = await process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        await process.WaitForExitAsync(CancellationToken.None);
        stop.ThrowIfCancellationRequested();
        LastError = await error;
        return process.ExitCode == 0 ? JsonDocument.Parse(output) : null;
    }

    /// <summary>What the generator last said on its error output.</summary>
    public string LastError { get; private set; } = "";

    private static LoadSample Parse(JsonElement line)
    {
        double Number(string name) => line.GetProperty(name).GetDouble();
        return new(Number("rps"), Number("p50") / 1e3, Number("p99") / 1e3, Number("p999") / 1e3, Number("server_us_req"), Number("client_us_req"),
            Number("other_cpu"), (long)(Number("errors") + Number("dropped")), (int)Number("req_bytes"));
    }

    private static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}

/// <summary>How long a sample is taken, after how long a warm-up, and how often again when something else ran meanwhile.</summary>
internal sealed record SampleLength(double WarmUpSeconds, double Seconds, int Retries);
