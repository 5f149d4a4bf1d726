using System.CommandLine;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary><c>kd chaos</c>: the system under faults, and the accounts after them.</summary>
public static class ChaosCommand
{
    private const int BrokenInvariant = 1;
    private const int BadArguments = 2;

    public static Command Create()
    {
        var minutes = new Option<double>("--minutes") { Description = "Time with faults; draining and an undisturbed run of the same stream come after it.", DefaultValueFactory = _ => 5 };
        var seed = new Option<int>("--seed") { Description = "Seed of faults, records and poison.", DefaultValueFactory = _ => 1 };
        var report = OutputFile.Option("--report", "Write the account to this file as JSON.");
        var data = new Option<string?>("--data") { Description = "Folder of a dataset to stream and learn. Default: generated impressions and a small student." };
        var rate = new Option<double>("--rate") { Description = "Ranking requests a second.", DefaultValueFactory = _ => 50 };
        var records = new Option<double>("--records") { Description = "Records a second.", DefaultValueFactory = _ => 200 };
        var poison = new Option<double>("--poison") { Description = "Share of the stream's entries that are poison, 0 to 0.5.", DefaultValueFactory = _ => 0.01 };
        var only = new Option<string?>("--only") { Description = "One drill instead of everything mixed: " + string.Join(", ", Drill.All.Select(d => $"{d.Name} ({d.What})")) + "." };
        only.AcceptOnlyFromAmong([.. Drill.All.Select(d => d.Name)]);
        var count = new Option<int?>("--count", "--kills") { Description = "Repetitions of a drill. Default: those of its long form." };
        count.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<int?>() is < 1)
                r.AddError("--count must be at least 1");
            else if (r.GetResult(only) is null)
                r.AddError("--count goes with --only");
        });
        var folder = new Option<string?>("--folder") { Description = "Where the run keeps its files; replaced at start. Default: .kd/chaos." };
        Between(minutes, 0.01, 24 * 60);
        Between(rate, 0.1, 10_000);
        Between(records, 1, 100_000);
        Between(poison, 0, 0.5);

        var command = new Command("chaos", "Kills, stops, cuts and starves the parts while records are learned and requests ranked; ends with 1 when an invariant broke.")
        {
            minutes, seed, only, count, report, data, rate, records, poison, folder,
        };
        command.SetAction((parsed, cancellation) => RunAsync(new(parsed.GetValue(minutes), parsed.GetValue(seed), parsed.GetValue(only), parsed.GetValue(count),
            parsed.GetValue(data), parsed.GetValue(rate), parsed.GetValue(records), parsed.GetValue(poison),
            parsed.GetValue(folder) ?? Path.Combine(Installation.Root, ".kd", "chaos"))
        { Say = Console.WriteLine }, parsed.GetValue(report), cancellation));
        command.Add(PublishChildCommand());
        return command;
    }

    // What the publish-crash drill traces and kills; nothing for a person.
    private static Command PublishChildCommand()
    {
        var words = new[] { "repository", "model", "source" }.Select(name => new Argument<string>(name)).ToArray();
        var child = new Command("publish-child") { Hidden = true };
        foreach (var word in words)
            child.Add(word);
        child.SetAction(parsed => PublishChild.Run(parsed.GetRequiredValue(words[0]), parsed.GetRequiredValue(words[1]), parsed.GetRequiredValue(words[2])));
        return child;
    }

    private static async Task<int> RunAsync(ChaosOptions options, string? reportPath, CancellationToken cancellation)
    {
        try
        {
            var drill = Drill.All.FirstOrDefault(d => d.Name == options.Only);
            var report = drill is null
                ? await new ChaosRun(options, FaultSchedule.Make(options.Seed)).RunAsync(cancellation)
                : await drill.RunAsync(options, options.Count ?? drill.LongCount, cancellation);
            Summarise(report);
            if (reportPath is not null)
            {
                await File.WriteAllTextAsync(reportPath, report.ToJson(), CancellationToken.None);
                Console.WriteLine($"report: {reportPath}");
            }
            return report.Broken.Count == 0 ? 0 : BrokenInvariant;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            await Console.Error.WriteLineAsync("kd chaos: stopped; nothing was judged");
            return BrokenInvariant;
        }
        catch (Exception e) when (e is DemoException or DatasetException or ContractException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"kd chaos: {e.Message}");
            return e is DatasetException ? BadArguments : BrokenInvariant;
        }
    }

    private static void Summarise(ChaosReport report)
    {
        Console.WriteLine();
        var (kills, records, requests, versions) = (report.Kills, report.Records, report.Requests, report.Versions);
        // A drill tells of what it touches.
        if (report.Only is null || kills != new ChaosReport.KillCounts(0, 0, 0) || report.Partitions > 0)
            Console.WriteLine($"kills        distiller {kills.Distiller}, serving {kills.Serving}, redis {kills.Redis}; pauses {report.Pauses}, partitions {report.Partitions}, disk faults {report.DiskFaults}");
        if (records.Produced > 0)
            Console.WriteLine($"records      {records.Produced:N0} produced, {records.Applied:N0} applied, {records.Lost} lost, {records.AppliedTwice} applied twice, {records.DeadLettered} dead-lettered");
        if (requests.Sent > 0)
            Console.WriteLine($"requests     {requests.Sent:N0} sent, {requests.Failed} failed, {requests.FailedWhileServingWasDead} failed while Serving was dead");
        Console.WriteLine($"versions     {versions.Published} published, {versions.Partial} partial, {versions.Rejected:N0} rejected");
        if (report.WeightsEqualUnkilledRun is { } equal)
            Console.WriteLine($"weights      {(equal ? "equal to" : "DIFFERENT from")} those of an undisturbed run");
        foreach (var (name, value) in report.Figures)
            Console.WriteLine($"{name.Replace('_', ' ')}: {(value % 1 == 0 ? $"{value:N0}" : $"{value:N3}")}");
        foreach (var fault in report.Broken)
            Console.WriteLine($"BROKEN       {fault}");
        Console.WriteLine(report.Broken.Count == 0 ? $"every invariant held ({report.Seconds:F0} s)" : $"{report.Broken.Count} invariant(s) broken ({report.Seconds:F0} s)");
    }

    private static void Between(Option<double> option, double low, double high) => option.Validators.Add(r =>
    {
        if (r.GetValueOrDefault<double>() is var value && !(value >= low && value <= high))
            r.AddError($"{option.Name} must be from {low} to {high}");
    });
}
