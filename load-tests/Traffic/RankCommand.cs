using System.CommandLine;
using System.Globalization;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary><c>kd rank</c>: ranking requests of a replay at a steady rate against a running server.</summary>
public static class RankCommand
{
    public static Command Create()
    {
        var target = new TrafficTarget();
        var seconds = new Option<double>("--seconds") { Description = "How long to send. Default: until Ctrl-C.", DefaultValueFactory = _ => double.PositiveInfinity };
        var rate = new Option<double>("--rate") { Description = "Requests a second.", DefaultValueFactory = _ => 100 };
        var report = OutputFile.Option("--report", "Write the figures to this file as JSON.");
        var samples = OutputFile.Option("--latencies", "Write every served request to this file as CSV: intended_unix_ms,latency_us,version.");
        Positive(seconds);
        Positive(rate);
        var command = new Command("rank", "Ranking requests of a replay against a running server, at times fixed in advance.") { seconds, rate, report, samples };
        target.AddTo(command);
        command.SetAction((parsed, stop) => RunAsync(
            target, parsed, parsed.GetValue(seconds), parsed.GetValue(rate), parsed.GetValue(report), parsed.GetValue(samples), stop));
        return command;
    }

    private static async Task<int> RunAsync(
        TrafficTarget target, ParseResult parsed, double seconds, double rate, string? report, string? samples, CancellationToken stop)
    {
        try
        {
            using var channel = TrafficTarget.Channel(target.Address(parsed));
            var traffic = new RankingTraffic(
                new Ranking.RankingClient(channel), target.Requests(parsed), target.Traffic(parsed) with { RatePerSecond = rate, Seconds = seconds });
            var run = traffic.RunAsync(stop);
            while (await Task.WhenAny(run, Task.Delay(1000, CancellationToken.None)) != run)
                Console.WriteLine(TrafficReport.Line(traffic.Figures()));
            await run;

            var figures = traffic.Figures();
            Console.WriteLine(TrafficReport.Line(figures));
            if (figures.ErrorCount > 0)
                Console.WriteLine($"errors: {TrafficReport.ErrorLine(figures)}{TrafficReport.FirstError(traffic.Record)}");
            if (report is not null)
                await File.WriteAllTextAsync(report, TrafficReport.Json(figures, target.Candidates(parsed)).ToJsonString(ContractJson.Options), CancellationToken.None);
            if (samples is not null)
                await File.WriteAllLinesAsync(samples, traffic.Record.Samples().Select(Csv).Prepend("intended_unix_ms,latency_us,version"), CancellationToken.None);
            return figures.ErrorCount == 0 ? 0 : 1;
        }
        catch (Exception e) when (e is DatasetException or ContractException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"kd rank: {e.Message}");
            return e is IOException or UnauthorizedAccessException ? 1 : 2;
        }
    }

    private static string Csv(TrafficSample sample) =>
        string.Create(CultureInfo.InvariantCulture, $"{sample.IntendedUnixMs},{sample.LatencyUs},{sample.Version}");

    private static void Positive(Option<double> option) =>
        option.Validators.Add(r =>
        {
            if (!(r.GetValueOrDefault<double>() > 0))
                r.AddError($"{option.Name} must be above 0");
        });
}
