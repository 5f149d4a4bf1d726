using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace KdServing.Benchmarks.Peers;

/// <summary>Runs the C++ generator (<c>native/loadgen.cc</c>) against a server: one process a sample.</summary>
internal sealed class LoadGenerator(PeerSources sources, PeerModelFolder model)
{
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
        SampleAsync(server, [.. Arguments(server, method, n, server.Peer.IsCatalog), "--mode", "closed", "--concurrency", Text(concurrency)], isOpen: false, length, stop);

    /// <summary>So many requests a second, whatever the replies.</summary>
    public Task<LoadSample> OpenAsync(PeerServer server, string method, int n, double rate, SampleLength length, CancellationToken stop) =>
        SampleAsync(server, [.. Arguments(server, method, n, server.Peer.IsCatalog), "--mode", "open", "--rate", Text(rate)], isOpen: true, length, stop);

    // The least disturbed of up to 1 + retries samples.
    private async Task<LoadSample> SampleAsync(PeerServer server, IReadOnlyList<string> arguments, bool isOpen, SampleLength length, CancellationToken stop)
    {
        LoadSample? best = null;
        for (var attempt = 0; attempt <= length.Retries && best?.IsDisturbed != false; attempt++)
        {
            var (stolen, started) = (StolenTime.Read(), Stopwatch.GetTimestamp());
            var line = await RunAsync([.. arguments, "--warmup", Text(length.WarmUpSeconds), "--seconds", Text(length.Seconds), "--server-pids", Text(server.Id)], stop)
                ?? throw new PeersException($"{server.Peer.Name} stopped answering; its log is in {sources.Built}/{server.Peer.Name}.log");
            var sample = Parse(line.RootElement, isOpen, (StolenTime.Read() - stolen) / Stopwatch.GetElapsedTime(started));
            if (best is null || sample.Disturbance < best.Disturbance)
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

    private static LoadSample Parse(JsonElement line, bool isOpen, double stolenCpu)
    {
        double Number(string name) => line.GetProperty(name).GetDouble();
        return new(isOpen, Number("rps"), Number("p50") / 1e3, Number("p99") / 1e3, Number("p999") / 1e3, Number("server_us_req"), Number("client_us_req"),
            Number("other_cpu"), stolenCpu, (long)(Number("errors") + Number("dropped")), (int)Number("req_bytes"));
    }

    private static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}

/// <summary>How long a sample is taken, after how long a warm-up, and how often again when it was disturbed.</summary>
internal sealed record SampleLength(double WarmUpSeconds, double Seconds, int Retries);
