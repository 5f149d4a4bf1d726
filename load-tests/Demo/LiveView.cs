using System.Globalization;
using KdServing.LoadTests.Traffic;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace KdServing.LoadTests.Demo;

/// <summary>The demo as it runs: a screen that redraws itself, or a line every few seconds where there is no terminal.</summary>
internal sealed class LiveView(IAnsiConsole console, bool plain)
{
    private static readonly TimeSpan PlainInterval = TimeSpan.FromSeconds(5);

    private readonly List<double> studentGauc = [];
    private DateTime nextPlainLine = DateTime.MinValue;
    private DemoPhase lastPhase = DemoPhase.Starting;
    private int messagesShown;

    /// <summary>Draws until <paramref name="run"/> ends; it calls back with each new state.</summary>
    public async Task ShowAsync(Func<Action<DemoState>, Task> run)
    {
        if (plain)
        {
            await run(WriteLine);
            return;
        }
        await console.Live(new Text("starting …")).AutoClear(false).StartAsync(async live =>
            await run(state =>
            {
                live.UpdateTarget(Draw(state));
                live.Refresh();
            }));
    }

    private void WriteLine(DemoState s)
    {
        for (; messagesShown < s.Messages.Count; messagesShown++)
            console.MarkupLineInterpolated($"{s.Messages[messagesShown]}");
        if (s.Phase == lastPhase && DateTime.UtcNow < nextPlainLine)
            return;
        (lastPhase, nextPlainLine) = (s.Phase, DateTime.UtcNow + PlainInterval);
        var line = s.Phase <= DemoPhase.Preparing
            ? $"{s.Phase,-9} {s.Elapsed:mm\\:ss}  teacher {s.Teacher.Number("progress") ?? 0:P0}"
            : string.Create(CultureInfo.InvariantCulture,
                $"{s.Phase,-9} {s.Elapsed:mm\\:ss}  stream {s.Teacher.Number("records_per_second") ?? 0:F0}/s lag {s.Distiller.Count("lag_records")}  loss {s.Distiller.Number("training_loss") ?? double.NaN:F4}  GAUC teacher {Figure(s.Distiller, "teacher")} student {Figure(s.Distiller, "student")}  version {s.Serving.Count("version")}  ranked {s.Traffic.Requests} p50 {Latency(s, 0.5):F2} p99 {Latency(s, 0.99):F2} ms errors {s.Traffic.ErrorCount}");
        console.WriteLine(line);
    }

    private IRenderable Draw(DemoState s)
    {
        if (s.Distiller.Number("scorers", "student", "gauc") is { } gauc)
            studentGauc.Add(gauc);
        var grid = new Grid().AddColumn().AddColumn();
        grid.AddRow(
            Panel("Teacher → stream",
                ("phase", s.Teacher.Text("phase") ?? "starting"),
                ("records", $"{s.Teacher.Count("produced"):N0} at {s.Teacher.Number("records_per_second") ?? 0:F0}/s"),
                ("event time", EventTime(s.Teacher.Count("event_time_ms"))),
                ("teacher version", $"{s.Teacher.Count("teacher_version")}")),
            Panel("Distiller",
                ("lag", $"{s.Distiller.Count("lag_records"):N0} records (most {s.Distiller.Count("max_lag_records"):N0})"),
                ("training loss", Fixed(s.Distiller.Number("training_loss"), "F4")),
                ("published", $"{s.Distiller.Count("versions_published")}, held {s.Distiller.Count("held_by_gate")}"),
                ("dead-lettered", $"{s.Distiller.Count("dead_lettered")}")));
        grid.AddRow(
            Panel("Quality, before learning (GAUC · AUC)",
                ("teacher", Pair(s, "teacher")),
                ("student", Pair(s, "student")),
                ("labels only", Pair(s, "student_labels_only")),
                ("frozen", Pair(s, "student_frozen")),
                ("student so far", Spark(studentGauc))),
            Panel("Serving",
                ("version", $"{s.Serving.Count("version")} ({s.Serving.Text("device") ?? "–"}), {s.Serving.Count("versions_served")} swapped in"),
                ("requests", $"{s.Traffic.Requests:N0} at {s.Traffic.ServedPerSecond:F0}/s"),
                ("latency", string.Create(CultureInfo.InvariantCulture, $"p50 {Latency(s, 0.5):F2} ms, p99 {Latency(s, 0.99):F2} ms")),
                ("errors", Errors(s.Traffic)),
                ("memory", $"{s.Serving.Number("rss_mb") ?? 0:F0} MB")));
        var bar = new BreakdownChart().Width(72).HideTags()
            .AddItem("done", Progress(s), Color.Green).AddItem("left", 1 - Progress(s), Color.Grey);
        return new Rows(
            new Markup($"[bold]KdServing[/]  {Markup.Escape(Phase(s))}"), bar, grid,
            new Rows(s.Messages.TakeLast(4).Select(m => new Markup($"[yellow]{Markup.Escape(m)}[/]"))));
    }

    private static double Progress(DemoState s) => s.Phase switch
    {
        DemoPhase.Starting => 0,
        DemoPhase.Preparing => Math.Clamp(s.Teacher.Number("progress") ?? 0, 0, 1),
        DemoPhase.Streaming => Math.Clamp(s.Elapsed.TotalSeconds / s.Seconds, 0, 1),
        _ => 1,
    };

    private static string Phase(DemoState s) => s.Phase switch
    {
        DemoPhase.Starting => "starting its processes",
        DemoPhase.Preparing => "the teacher learns the day before the replay",
        DemoPhase.Streaming => $"streaming, {s.Elapsed:mm\\:ss} of {TimeSpan.FromSeconds(s.Seconds):mm\\:ss}  (Ctrl-C stops cleanly)",
        DemoPhase.Draining => "the last records are learned and served",
        _ => "done",
    };

    private static Panel Panel(string title, params ReadOnlySpan<(string Name, string Value)> rows)
    {
        var table = new Grid().AddColumn(new GridColumn().Width(16)).AddColumn(new GridColumn().Width(30));
        foreach (var (name, value) in rows)
            table.AddRow(new Markup($"[grey]{Markup.Escape(name)}[/]"), new Text(value));
        return new Panel(table).Header(Markup.Escape(title)).Border(BoxBorder.Rounded);
    }

    private static string Pair(DemoState s, string scorer) =>
        $"{Figure(s.Distiller, scorer)} · {Fixed(s.Distiller.Number("scorers", scorer, "auc"), "F4")}";

    private static string Figure(StatusFile distiller, string scorer) => Fixed(distiller.Number("scorers", scorer, "gauc"), "F4");

    private static string Fixed(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "–";

    private static double Latency(DemoState s, double rank) => s.Traffic.Latency.Count == 0 ? 0 : s.Traffic.Latency.QuantileMs(rank);

    private static string Errors(TrafficFigures traffic) =>
        traffic.Errors.Count == 0 ? "0" : string.Join(", ", traffic.Errors.Select(e => $"{e.Value:N0} {e.Key}"));

    private static string EventTime(long ms) =>
        ms == 0 ? "–" : DateTimeOffset.FromUnixTimeMilliseconds(ms).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static string Spark(IReadOnlyList<double> values)
    {
        const string Bars = "▁▂▃▄▅▆▇█";
        var recent = values.TakeLast(28).ToArray();
        if (recent.Length == 0)
            return "–";
        var (low, high) = (recent.Min(), recent.Max());
        return string.Concat(recent.Select(v => Bars[(int)Math.Round((v - low) / Math.Max(high - low, 1e-9) * (Bars.Length - 1))]));
    }
}
