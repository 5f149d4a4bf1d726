using System.CommandLine;
using KdServing.Datasets;
using Spectre.Console;

namespace KdServing.LoadTests.Demo;

/// <summary><c>kd demo</c>: the whole loop on one machine.</summary>
public static class DemoCommand
{
    public static Command Create()
    {
        var seconds = new Option<int>("--seconds") { Description = "Length of the streaming phase; the teacher prepares before it.", DefaultValueFactory = _ => 180 };
        var data = new Option<string?>("--data") { Description = "Folder of a dataset with a sample of its name, or with a dataset.json inside. Default: generated interactions." };
        var device = new Option<string>("--device") { Description = "Where Serving computes: cpu, cuda (fails without), auto (says which).", DefaultValueFactory = _ => "cpu" };
        var report = OutputFile.Option("--report", "Write the measurements to this file as JSON.");
        var rate = new Option<double>("--rate") { Description = "Ranking requests a second.", DefaultValueFactory = _ => 110 };
        var candidates = new Option<int>("--candidates") { Description = "Candidates a request.", DefaultValueFactory = _ => 500 };
        var folder = new Option<string?>("--folder") { Description = "Where the run keeps its files; replaced at start. Default: .kd/demo." };
        var plain = new Option<bool>("--plain") { Description = "A line every few seconds instead of the live screen." };
        var catalog = new Option<bool>("--catalog") { Description = "Items are put into Serving's catalog over Redis, and requests name their candidates by id." };
        device.AcceptOnlyFromAmong("cpu", "cuda", "auto");
        Positive(seconds);
        Positive(candidates);
        rate.Validators.Add(r => { if (r.GetValueOrDefault<double>() is not (> 0 and <= 10_000)) r.AddError("--rate must be above 0 and at most 10000"); });

        var command = new Command("demo", "The main job, whole: Redis, teacher, Distiller, Serving and ranking traffic, with a live view and a summary.")
        {
            seconds, data, device, report, rate, candidates, folder, plain, catalog,
        };
        command.SetAction((parsed, cancellation) => RunAsync(new(
            parsed.GetValue(data), parsed.GetValue(seconds), parsed.GetValue(rate), parsed.GetValue(candidates), parsed.GetValue(device)!,
            parsed.GetValue(report), parsed.GetValue(folder) ?? Path.Combine(Installation.Root, ".kd", "demo"),
            parsed.GetValue(plain) || Console.IsOutputRedirected, parsed.GetValue(catalog)), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(DemoOptions options, CancellationToken cancellation)
    {
        if (Console.IsOutputRedirected)
        {
            // A file or a pipe: plain text, as wide as its lines.
            AnsiConsole.Profile.Capabilities.Ansi = false;
            AnsiConsole.Profile.Width = 240;
        }
        try
        {
            var report = await new DemoRun(options).RunAsync(cancellation);
            if (report is null)
                return 0;
            DemoSummary.Write(AnsiConsole.Console, report);
            if (options.ReportPath is { } path)
            {
                await File.WriteAllTextAsync(path, report.ToJson(), CancellationToken.None);
                AnsiConsole.MarkupLineInterpolated($"report: {path}");
            }
            return 0;
        }
        catch (Exception e) when (e is DemoException or DatasetException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"kd demo: {e.Message}");
            return e is DatasetException ? 2 : 1;
        }
    }

    private static void Positive(Option<int> option) =>
        option.Validators.Add(r => { if (r.GetValueOrDefault<int>() < 1) r.AddError($"{option.Name} must be at least 1"); });
}
