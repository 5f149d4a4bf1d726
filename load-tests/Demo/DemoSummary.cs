using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace KdServing.LoadTests.Demo;

/// <summary>The report in words and tables, for a person.</summary>
internal static class DemoSummary
{
    public static void Write(IAnsiConsole console, DemoReport report)
    {
        console.WriteLine();
        console.Write(new Rule("[bold]What happened[/]") { Justification = Justify.Left });
        console.Write(Quality(report));
        var lines = new List<string>
        {
            $"Data        {report.Data.Name} ({report.Data.Source}), {report.Stream.Produced:N0} records streamed at {report.Stream.RecordsPerSecond:F0}/s",
            $"Stream      consumed {report.Stream.Consumed:N0}, held out {report.Stream.HeldOut:N0}, dead-lettered {report.Stream.DeadLettered:N0}, lost {report.Stream.Lost:N0}, largest lag {report.Stream.MaxLagRecords:N0}",
            $"Versions    {report.Refresh.VersionsPublished} published, {report.Refresh.VersionsServed} served, {report.Refresh.HeldByGate} held by the gate",
            $"Freshness   logit to served score: p50 {Ms(report.Refresh.LogitToServedMs.P50)}, p99 {Ms(report.Refresh.LogitToServedMs.P99)}; {report.Refresh.Unserved:N0} records came too late to be served",
            $"Swaps       load to live: p50 {Ms(report.Refresh.SwapMs.P50)}, longest {Ms(report.Refresh.SwapMs.Max)}",
            $"Ranking     {report.Serving.Requests:N0} requests of {report.Serving.CandidatesPerRequest} candidates at {report.Serving.ThroughputRps:F0}/s on {report.Serving.Device}, {report.Serving.Errors:N0} errors",
            $"Latency     p50 {Ms(report.Serving.LatencyMs.P50)}, p99 {Ms(report.Serving.LatencyMs.P99)}, p99.9 {Ms(report.Serving.LatencyMs.P999)}; while swapping: p99 {Ms(report.Serving.LatencyMsDuringSwap.P99)}",
            $"Memory      serving {Mb(report.Resources.ServingRssMbStart)} → {Mb(report.Resources.ServingRssMbEnd)}, distiller {Mb(report.Resources.DistillerRssMbEnd)}",
        };
        if (report.Restarts > 0)
            lines.Add($"Restarts    {report.Restarts}");
        foreach (var line in lines)
            console.MarkupLineInterpolated($"{line}");
        console.WriteLine();
        console.MarkupLineInterpolated($"{Verdict(report)}");
    }

    private static Table Quality(DemoReport report)
    {
        var table = new Table().Border(TableBorder.Rounded)
            .AddColumn("scorer").AddColumn(new TableColumn("GAUC").RightAligned()).AddColumn(new TableColumn("AUC").RightAligned())
            .AddColumn(new TableColumn("log loss").RightAligned()).AddColumn("what it is");
        Row("teacher", report.Teacher.Gauc, report.Teacher.Auc, report.Teacher.Logloss, "big, privileged features, learns on");
        Scorer("student", report.Student, "the version live in Serving at that moment");
        Scorer("student, latest", report.StudentLatest, "the Distiller's newest weights");
        Scorer("student, labels only", report.StudentLabelsOnly, "same start, same records, no teacher");
        Scorer("student, frozen", report.StudentFrozen, "live at a third of the run, never refreshed since");
        return table;

        void Scorer(string name, JsonNode? s, string what) =>
            Row(name, Number(s, "gauc"), Number(s, "auc"), Number(s, "logloss"), what);

        void Row(string name, double? gauc, double? auc, double? logloss, string what) =>
            table.AddRow(name, Figure(gauc), Figure(auc), Figure(logloss), what);
    }

    private static string Verdict(DemoReport report)
    {
        var equalAge = Interval(report.GaucDifference95?["student_latest_minus_labels_only"]);
        var live = Interval(report.GaucDifference95?["student_minus_labels_only"]);
        var refresh = Interval(report.GaucDifference95?["student_minus_frozen"]);
        return $"""
            GAUC, 95 % intervals paired by impression:
              {equalAge}  learning from the teacher: newest weights with it − newest weights without
              {live}  the same, but of the version live in Serving, which is some seconds old
              {refresh}  staying fresh: live version − the one frozen at a third of the run
            """;
    }

    private static string Interval(JsonNode? node) =>
        node is JsonArray { Count: 2 } pair
            ? string.Create(CultureInfo.InvariantCulture, $"[{pair[0]!.GetValue<double>():+0.0000;-0.0000}, {pair[1]!.GetValue<double>():+0.0000;-0.0000}]")
            : "(not measured)";

    private static double? Number(JsonNode? node, string key) =>
        node?[key] is JsonValue v && v.TryGetValue<double>(out var d) ? d : null;

    private static string Figure(double? value) => value?.ToString("F4", CultureInfo.InvariantCulture) ?? "–";

    private static string Ms(double? value) => value switch
    {
        null => "–",
        >= 1000 => string.Create(CultureInfo.InvariantCulture, $"{value / 1000:F1} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value:F2} ms"),
    };

    private static string Mb(double? value) => value is { } mb ? string.Create(CultureInfo.InvariantCulture, $"{mb:F0} MB") : "–";
}
