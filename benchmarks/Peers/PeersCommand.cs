using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace KdServing.Benchmarks.Peers;

/// <summary><c>kd bench peers</c>: other pre-ranking servers and ours on the same model, interleaved in one run.</summary>
internal static class PeersCommand
{
    public const string Verb = "peers";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static Command Create()
    {
        var quick = new Option<bool>("--quick") { Description = $"N=1000 with {string.Join(", ", PeerLineup.Quick)} in under four minutes." };
        var report = new Option<FileInfo?>("--report") { Description = "Write the rows to this file as JSON." };
        var markdown = new Option<FileInfo?>("--table") { Description = "Write the tables to this file as Markdown." };
        var peers = new Option<string?>("--peers") { Description = $"Folder of the peers' sources. Default: {PeerSources.Variable}, or shared/peers beside or inside the checkout." };
        var only = new Option<string?>("--only") { Description = "These peers only, e.g. cpp-async,kd-inline." };
        var candidates = new Option<string>("--n") { Description = "Candidates a request, one table each.", DefaultValueFactory = _ => "500,1000" };
        var methods = new Option<string>("--methods") { Description = "Rank: ids as varints; RankRaw: ids as little-endian int64.", DefaultValueFactory = _ => "Rank,RankRaw" };
        var concurrency = new Option<string>("--concurrency") { Description = "Requests in flight, closed loop.", DefaultValueFactory = _ => "1,4,8,16" };
        var rounds = new Option<int>("--rounds") { Description = "How often every sample is taken; the median is shown.", DefaultValueFactory = _ => 3 };
        var seconds = new Option<double>("--seconds") { Description = "Length of a sample.", DefaultValueFactory = _ => 1.5 };
        var openSamples = new Option<int>("--open-samples") { Description = "Samples of each open loop a round, all servers in turn: a p99 is made of few requests.", DefaultValueFactory = _ => 3 };
        var retries = new Option<int>("--retries") { Description = "How often a sample is taken again when something else ran, or the host took the cores away.", DefaultValueFactory = _ => 2 };
        var command = new Command(Verb,
            "Builds the C++ peers and runs them and this server side by side on the same model: the same scores, one load generator, one run.")
        {
            quick, report, markdown, peers, only, candidates, methods, concurrency, rounds, openSamples, seconds, retries,
        };
        command.SetAction(async (parsed, stop) =>
        {
            try
            {
                var isQuick = parsed.GetValue(quick);
                var options = new PeerRunOptions(
                    parsed.GetValue(only) is { } names ? Words(names) : isQuick ? PeerLineup.Quick : PeerLineup.Names,
                    isQuick && parsed.GetResult(candidates) is not { Implicit: false } ? [1000] : Numbers(parsed.GetValue(candidates)!, "--n"),
                    Words(parsed.GetValue(methods)!),
                    isQuick ? [1, 8, 16] : Numbers(parsed.GetValue(concurrency)!, "--concurrency"),
                    isQuick ? 2 : parsed.GetValue(rounds),
                    isQuick ? 1 : parsed.GetValue(openSamples),
                    isQuick ? new(0.25, 0.9, Retries: 0) : new(0.4, parsed.GetValue(seconds), parsed.GetValue(retries)));
                Require(options);
                return await RunAsync(PeerSources.Find(parsed.GetValue(peers)), options, parsed.GetValue(report), parsed.GetValue(markdown), parsed.InvocationConfiguration, stop) ? 0 : 1;
            }
            catch (Exception e) when (e is PeersException or IOException or UnauthorizedAccessException)
            {
                await parsed.InvocationConfiguration.Error.WriteLineAsync($"kd bench peers: {e.Message}");
                return 1;
            }
            catch (PeersUsageException e)
            {
                await parsed.InvocationConfiguration.Error.WriteLineAsync($"kd bench peers: {e.Message}");
                return 2;
            }
        });
        return command;
    }

    /// <returns>False when requests failed: what was measured is not what was asked.</returns>
    private static async Task<bool> RunAsync(PeerSources sources, PeerRunOptions options, FileInfo? report, FileInfo? markdown, InvocationConfiguration console, CancellationToken stop)
    {
        var started = Stopwatch.GetTimestamp();
        await console.Output.WriteLineAsync($"Peers from {sources.Folder}");
        using var line = new ProgressLine();
        line.Show("building the C++ peers (a minute the first time)");
        await sources.BuildAsync(stop);
        if (options.Peers.Contains(PeerLineup.AspNetCore) && await sources.TryBuildAspNetCoreAsync(stop) is { } lack)
        {
            line.Clear();
            await console.Output.WriteLineAsync($"without {PeerLineup.AspNetCore}, which does not build {lack}");
            options = options with { Peers = [.. options.Peers.Where(p => p != PeerLineup.AspNetCore)] };
        }
        line.Show("converting the peers' model");
        var run = new PeerRun(sources, new PeerModelFolder(sources), options, line.Show);
        var samples = await run.RunAsync(stop);
        line.Clear();

        var result = new PeerReport(samples);
        var text = result.Tables() + result.Goals() + string.Create(CultureInfo.InvariantCulture,
            $"\nScores of all servers agree to {run.LargestScoreDifference:E1}. {result.Failures} failed requests. "
            + $"{result.Noise()} {options.Rounds} rounds, {options.Length.Seconds} s a sample, {options.OpenSamples} of each open loop a round, {Stopwatch.GetElapsedTime(started).TotalSeconds:F0} s in all.\n");
        await console.Output.WriteAsync(text);
        if (report is not null)
            await File.WriteAllTextAsync(report.FullName, result.Json().ToJsonString(Indented), CancellationToken.None);
        if (markdown is not null)
            await File.WriteAllTextAsync(markdown.FullName, text, CancellationToken.None);
        foreach (var (peer, failures) in result.FailuresByPeer)
            await console.Error.WriteLineAsync($"kd bench peers: {failures} requests of {peer} failed: its figures are of the rest, and of refusing");
        return result.Failures == 0;
    }

    private static void Require(PeerRunOptions options)
    {
        foreach (var name in options.Peers)
        {
            if (!PeerLineup.Names.Contains(name))
                throw new PeersUsageException($"--only: there is no peer '{name}'; there are {string.Join(", ", PeerLineup.Names)}");
        }
        foreach (var method in options.Methods)
        {
            if (method is not ("Rank" or "RankRaw"))
                throw new PeersUsageException($"--methods: '{method}' is neither Rank nor RankRaw");
        }
        if (options.Rounds < 1 || options.OpenSamples < 1 || !(options.Length.Seconds > 0))
            throw new PeersUsageException("--rounds, --open-samples and --seconds must be above 0");
    }

    private static string[] Words(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static int[] Numbers(string list, string option) => [.. Words(list).Select(w =>
        int.TryParse(w, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n is > 0 and <= 10_000
            ? n
            : throw new PeersUsageException($"{option}: '{w}' is no whole number from 1 to 10000"))];
}
