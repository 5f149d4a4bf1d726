using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Datasets;
using Spectre.Console;

namespace KdServing.LoadTests.Traffic;

/// <summary><c>kd load</c>: latency at rising rates, apart for the moments in which a new version took over.</summary>
/// <remarks>
/// Without the server's ledger a swap is seen by its first reply: a request counts as "during a swap" when it was under way within
/// <see cref="BeforeFirstReplyMs"/> before to <see cref="AfterFirstReplyMs"/> after it.
/// </remarks>
public static class LoadCommand
{
    private const int BeforeFirstReplyMs = 1000;
    private const int AfterFirstReplyMs = 500;

    public static Command Create()
    {
        var target = new TrafficTarget();
        var rates = new Option<double[]>("--rates")
        {
            Description = "Requests a second, one step each, e.g. 100,200,400.",
            DefaultValueFactory = _ => [100, 200, 400],
            CustomParser = result => Rates(result),
            AllowMultipleArgumentsPerToken = true,
        };
        var seconds = new Option<int>("--seconds") { Description = "Length of a step.", DefaultValueFactory = _ => 15 };
        var warmUp = new Option<int>("--warm-up") { Description = "Seconds at the first rate before the steps; not counted.", DefaultValueFactory = _ => 3 };
        var report = OutputFile.Option("--report", "Write the figures to this file as JSON.");
        TrafficTarget.AtLeast(seconds, 1);
        TrafficTarget.AtLeast(warmUp, 0);
        var command = new Command("load", "Open-loop load test of a running server, in steps of rising rates, aware of version swaps.") { rates, seconds, warmUp, report };
        target.AddTo(command);
        command.SetAction((parsed, stop) => RunAsync(
            target, parsed, parsed.GetValue(rates)!, parsed.GetValue(seconds), parsed.GetValue(warmUp), parsed.GetValue(report), stop));
        return command;
    }

    private static async Task<int> RunAsync(
        TrafficTarget target, ParseResult parsed, double[] rates, int seconds, int warmUpSeconds, string? report, CancellationToken stop)
    {
        try
        {
            using var channel = TrafficTarget.Channel(target.Address(parsed));
            var client = new Ranking.RankingClient(channel);
            var requests = target.Requests(parsed);
            var clockSeconds = 0.0;
            var newest = 0L;
            if (warmUpSeconds > 0)
                newest = Newest((await StepAsync(rates[0], warmUpSeconds)).Figures(), newest);

            var table = new Table().AddColumns("rate/s", "served", "p50 ms", "p99", "p999", "max", "swaps", "p99 in swap", "errors");
            var steps = new JsonArray();
            foreach (var rate in rates)
            {
                if (stop.IsCancellationRequested)
                    break;
                var traffic = await StepAsync(rate, seconds);
                var figures = traffic.Figures();
                var windows = figures.Versions.Where(v => newest > 0 && v.Version > newest)
                    .Select(v => (v.FirstReplyUnixMs - BeforeFirstReplyMs, v.FirstReplyUnixMs + AfterFirstReplyMs)).ToList();
                newest = Newest(figures, newest);
                var inSwaps = traffic.Record.Latency(windows);
                table.AddRow(Row(rate, figures, windows.Count, inSwaps));
                var step = TrafficReport.Json(figures, target.Candidates(parsed));
                step["rate"] = rate;
                step["swaps"] = windows.Count;
                step["latency_ms_during_swap"] = TrafficReport.Quantiles(inSwaps);
                step["latency_ms_outside_swap"] = TrafficReport.Quantiles(traffic.Record.Latency(windows, inside: false));
                steps.Add(step);
                Console.WriteLine(TrafficReport.Line(figures) + (figures.ErrorCount > 0 ? $"  ({TrafficReport.ErrorLine(figures)}{TrafficReport.FirstError(traffic.Record)})" : ""));
            }

            AnsiConsole.Write(table);
            if (report is not null)
                await File.WriteAllTextAsync(report, new JsonObject { ["steps"] = steps }.ToJsonString(ContractJson.Options), CancellationToken.None);
            return 0;

            async Task<RankingTraffic> StepAsync(double rate, int length)
            {
                // Each step has a clock of its own; the replay's goes on.
                var begin = clockSeconds;
                var continued = requests with { Next = at => requests.Next(begin + at) };
                var traffic = new RankingTraffic(client, continued, target.Traffic(parsed) with { RatePerSecond = rate, Seconds = length });
                await traffic.RunAsync(stop);
                clockSeconds += length;
                return traffic;
            }
        }
        catch (Exception e) when (e is DatasetException or ContractException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"kd load: {e.Message}");
            return e is IOException or UnauthorizedAccessException ? 1 : 2;
        }
    }

    private static long Newest(TrafficFigures figures, long before) =>
        figures.Versions.Count == 0 ? before : Math.Max(before, figures.Versions[^1].Version);

    private static string[] Row(double rate, TrafficFigures figures, int swaps, LatencyHistogram inSwaps)
    {
        static string Ms(double ms) => ms.ToString("F2", CultureInfo.InvariantCulture);
        return
        [
            rate.ToString(CultureInfo.InvariantCulture), figures.ServedPerSecond.ToString("F0", CultureInfo.InvariantCulture),
            Ms(figures.Latency.QuantileMs(0.5)), Ms(figures.Latency.QuantileMs(0.99)), Ms(figures.Latency.QuantileMs(0.999)), Ms(figures.Latency.MaxUs / 1000.0),
            $"{swaps}", inSwaps.Count == 0 ? "-" : Ms(inSwaps.QuantileMs(0.99)), $"{figures.ErrorCount}",
        ];
    }

    private static double[] Rates(System.CommandLine.Parsing.ArgumentResult result)
    {
        var rates = new List<double>();
        foreach (var text in result.Tokens.SelectMany(t => t.Value.Split(',')))
        {
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var rate) && rate is > 0 and <= 100_000)
                rates.Add(rate);
            else
                result.AddError($"--rates: '{text}' is no number above 0 and at most 100000");
        }

        return [.. rates];
    }
}
