using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Demo;

/// <summary>Puts the report together from what each process counted and what the demo saw for itself.</summary>
internal static class ReportBuilder
{
    public static DemoReport Build(DemoOptions options, DemoDataset dataset, VersionPositions positions, Look look, DemoTraffic traffic,
        IReadOnlyList<StreamId> produced, double? servingRssStart, int restarts)
    {
        var distiller = look.Distiller;
        var consumed = distiller.Count("consumed");
        var deadLettered = distiller.Count("dead_lettered");
        var swaps = Swaps(look.Serving);
        var windows = swaps.Select(s => s.Window).ToArray();
        var figures = traffic.Figures;
        var freshness = Freshness.Measure(produced, Served(positions, figures));
        var samples = traffic.Record?.Samples() ?? [];
        return new()
        {
            Data = new(dataset.Name, dataset.IsSynthetic ? "synthetic" : "real", produced.Count),
            Teacher = new(distiller.Number("scorers", "teacher", "auc"), distiller.Number("scorers", "teacher", "gauc"), distiller.Number("scorers", "teacher", "logloss")),
            Student = Student(distiller),
            StudentLatest = distiller["scorers", "student_latest"]?.DeepClone(),
            StudentLabelsOnly = distiller["scorers", "student_labels_only"]?.DeepClone(),
            StudentFrozen = distiller["scorers", "student_frozen"]?.DeepClone(),
            GaucDifference95 = distiller["gauc_difference_95"]?.DeepClone(),
            TransferRatio = distiller.Number("transfer_ratio"),
            Stream = new(produced.Count, consumed, distiller.Count("acked"), distiller.Count("held_out"), deadLettered,
                Lost(produced.Count, consumed, deadLettered, distiller.Count("missing")), distiller.Count("max_lag_records"), Rate(produced)),
            Refresh = new(distiller.Count("versions_published"), figures.Versions.Count, distiller.Count("held_by_gate"), freshness.Unserved,
                new(freshness.P50Ms, freshness.P99Ms), SwapTimes(swaps)),
            Serving = new(look.Serving.Text("device") ?? options.Device, figures.Requests, figures.ErrorCount, options.Candidates,
                DemoReport.Percentiles.Of(samples.Select(LatencyMs)),
                DemoReport.Percentiles.Of(samples.Where(s => windows.Any(w => w.Overlaps(s.IntendedUnixMs, s.DoneUnixMs))).Select(LatencyMs)),
                figures.ServedPerSecond),
            Resources = new(servingRssStart, look.Serving.Number("rss_mb"), distiller.Number("rss_mb")),
            Restarts = restarts,
        };
    }

    /// <summary>
    /// Two accounts of what never arrived: written by the teacher's own list but not read, and holes in the producers' sequences. The
    /// larger counts, since a teacher that is killed may have written records that its list does not hold. A dead letter
    /// leaves a hole too, and is no loss.
    /// </summary>
    public static long Lost(long produced, long consumed, long deadLettered, long missing) =>
        Math.Max(0, Math.Max(produced - consumed - deadLettered, missing - deadLettered));

    private static double LatencyMs(TrafficSample sample) => sample.LatencyUs / 1000.0;

    private static JsonNode? Student(StatusFile distiller)
    {
        var student = distiller["scorers", "student"]?.DeepClone();
        if (student is JsonObject o)
            o["parameters"] = distiller.Count("parameters");
        return student;
    }

    private static IEnumerable<ServedVersion> Served(VersionPositions positions, TrafficFigures traffic)
    {
        foreach (var version in traffic.Versions)
        {
            if (positions[version.Version] is { } position)
                yield return new(version.Version, position, version.FirstReplyUnixMs);
        }
    }

    private static IReadOnlyList<(SwapWindow Window, double TotalMs)> Swaps(StatusFile serving)
    {
        var swaps = new List<(SwapWindow, double)>();
        foreach (var swap in serving["swaps"] as JsonArray ?? [])
        {
            if (Time("load_started_ms") is not { } started || Time("swapped_ms") is not { } swapped)
                continue;
            swaps.Add((new(started, (Time("disposed_ms") ?? swapped) + SwapWindow.AfterDisposalMs), swapped - started));

            long? Time(string key) => swap?[key] is JsonValue v && v.TryGetValue<double>(out var ms) && ms > 0 ? (long)ms : null;
        }
        return swaps;
    }

    private static DemoReport.SwapTimes SwapTimes(IReadOnlyList<(SwapWindow Window, double TotalMs)> swaps)
    {
        var sorted = swaps.Select(s => s.TotalMs).Order().ToArray();
        return new(Freshness.Percentile(sorted, 0.5), sorted.Length == 0 ? null : sorted[^1]);
    }

    private static double Rate(IReadOnlyList<StreamId> produced) =>
        produced.Count < 2 ? 0 : (produced.Count - 1) * 1000.0 / Math.Max(1, produced[^1].Ms - produced[0].Ms);
}
