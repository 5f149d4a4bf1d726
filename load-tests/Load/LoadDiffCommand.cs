using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace KdServing.LoadTests.Load;

/// <summary><c>kd load diff</c>: two reports side by side, step by step.</summary>
internal static class LoadDiffCommand
{
    // name in the table, path in the report, and whether more is better
    private static readonly (string Name, string[] Path, bool MoreIsBetter)[] Figures =
    [
        ("requests/s", ["throughput_rps"], true),
        ("p50 ms", ["latency_ms", "p50"], false),
        ("p99 ms", ["latency_ms", "p99"], false),
        ("p99.9 ms", ["latency_ms", "p999"], false),
        ("max ms", ["latency_ms", "max"], false),
        ("p99 in swap", ["latency_ms_during_swap", "p99"], false),
        ("errors", ["errors"], false),
        ("server µs", ["server_cpu_us_per_request"], false),
    ];

    public static Command Create()
    {
        var before = new Argument<FileInfo>("before") { Description = "Report of a run." };
        var after = new Argument<FileInfo>("after") { Description = "Report of another run with the same steps." };
        var limit = new Option<double?>("--fail-above") { Description = "Exit with 1 when a step's p99 is worse by more than so many percent." };
        var command = new Command("diff", "Compares two reports of kd load, step by step.") { before, after, limit };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(before), parsed.GetRequiredValue(after), parsed.GetValue(limit), stop));
        return command;
    }

    private static async Task<int> RunAsync(FileInfo before, FileInfo after, double? limit, CancellationToken stop)
    {
        try
        {
            var old = await StepsAsync(before, stop);
            var table = new Table().AddColumns("step", "figure", "before", "after", "change");
            var (worst, compared) = (double.NegativeInfinity, 0);
            foreach (var (name, step) in await StepsAsync(after, stop))
            {
                if (!old.TryGetValue(name, out var was))
                    continue;
                compared++;
                foreach (var (figure, path, moreIsBetter) in Figures)
                {
                    if (Number(was, path) is not { } a || Number(step, path) is not { } b || (a == 0 && b == 0))
                        continue;
                    var change = a == 0 ? double.PositiveInfinity : (b / a - 1) * 100;
                    if (figure == "p99 ms")
                        worst = Math.Max(worst, change);
                    table.AddRow(Markup.Escape(name), figure, Text(a), Text(b), Coloured(change, moreIsBetter));
                }
            }
            if (compared == 0)
                throw new LoadException($"{before.Name} and {after.Name} have no step in common; give both runs the same rates");
            AnsiConsole.Write(table);
            if (!(worst > limit))
                return 0;
            await Console.Error.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"kd load diff: a p99 is worse by {worst:F0} %, more than the {limit} % allowed"));
            return 1;
        }
        catch (Exception e) when (e is LoadException or IOException or UnauthorizedAccessException or JsonException)
        {
            await Console.Error.WriteLineAsync($"kd load diff: {e.Message}");
            return 2;
        }
    }

    private static async Task<Dictionary<string, JsonNode>> StepsAsync(FileInfo file, CancellationToken stop)
    {
        var json = JsonNode.Parse(await File.ReadAllTextAsync(file.FullName, stop)) as JsonObject;
        if (json?["steps"] is not JsonArray steps)
            throw new LoadException($"{file.FullName} is not a report of kd load: it has no steps");
        var byName = new Dictionary<string, JsonNode>();
        foreach (var step in steps)
        {
            if (step is not null)
                byName.TryAdd((string?)step["name"] ?? $"{step["rate"]}/s", step);
        }
        return byName;
    }

    private static double? Number(JsonNode step, string[] path)
    {
        JsonNode? node = step;
        foreach (var key in path)
            node = (node as JsonObject)?[key];
        return node?.GetValueKind() == JsonValueKind.Number ? node.GetValue<double>() : null;
    }

    private static string Coloured(double change, bool moreIsBetter)
    {
        var text = change.ToString("+0.0;-0.0;0.0", CultureInfo.InvariantCulture) + " %";
        return Math.Abs(change) < 3 ? text : change > 0 == moreIsBetter ? $"[green]{text}[/]" : $"[red]{text}[/]";
    }

    private static string Text(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);
}
