using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Offline;

namespace KdServing.Benchmarks.Slopes;

/// <summary><c>bench slope</c>: what one more candidate costs, inline and by id, beside the least it can cost here.</summary>
internal static class SlopeCommand
{
    public const string Verb = "slope";

    private static readonly int[] Sizes = [100, 200, 500, 1000, 2000, 5000, 10_000];

    private static readonly JsonSerializerOptions Indented = new(ContractJson.Options) { WriteIndented = true };

    public static Command Create()
    {
        var rounds = AtLeastOne("--rounds", "Times every size and path is measured; medians are shown.", 40);
        var items = AtLeastOne("--items", "Items in the catalog, 512 bytes a vector: more than the caches hold.", 1_000_000);
        var report = new Option<FileInfo?>("--report") { Description = "Write the figures to this file as JSON." };
        var table = new Option<FileInfo?>("--table") { Description = "Write the tables to this file as Markdown." };
        var command = new Command(Verb,
            $"Time of a request against its number of candidates, {Sizes[0]} to {Sizes[^1].ToString("N0", CultureInfo.InvariantCulture)}: least-squares slope, intercept and R², inline and by id, "
            + "scored in this process and as whole requests over loopback; and the floor of the catalog path, measured in the same run.")
        {
            rounds, items, report, table,
        };
        command.SetAction((result, stop) => RunAsync(result.GetValue(rounds), result.GetValue(items), result.GetValue(report), result.GetValue(table),
            result.InvocationConfiguration.Output, stop));
        return command;
    }

    private static async Task<int> RunAsync(int rounds, int items, FileInfo? report, FileInfo? table, TextWriter output, CancellationToken stop)
    {
        using var bar = new ProgressBar();
        bar.Show(0, string.Create(CultureInfo.InvariantCulture, $"a server with {items:N0} items"));
        await using var server = await SlopeServer.StartAsync(items, stop);
        var measurement = new SlopeMeasurement(server, Sizes);
        await measurement.RunAsync(rounds, share => bar.Show(share, "requests"), stop);
        bar.Dispose();
        var text = measurement.Text();
        await output.WriteAsync(text);
        if (report is not null)
            await File.WriteAllTextAsync(report.FullName, JsonSerializer.Serialize(new { rows = measurement.Rows, floor = measurement.Floor }, Indented), CancellationToken.None);
        if (table is not null)
            await File.WriteAllTextAsync(table.FullName, text, CancellationToken.None);
        if (measurement.Floor.Fault(measurement.CatalogSlopeNs) is not { } fault)
            return 0;
        await Console.Error.WriteLineAsync($"kd bench slope: {fault}");
        return 1;
    }

    private static Option<int> AtLeastOne(string name, string description, int whenAbsent)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => whenAbsent };
        option.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<int>() < 1)
                r.AddError($"{name} must be at least 1");
        });
        return option;
    }
}
