using System.Globalization;
using System.Text.Json.Nodes;

namespace KdServing.LoadTests.Traffic;

/// <summary>Figures as JSON, with the keys of the demo's report where they mean the same.</summary>
public static class TrafficReport
{
    public static JsonObject Json(TrafficFigures figures, int candidates) => new()
    {
        ["seconds"] = Math.Round(figures.Seconds, 3),
        ["requests"] = figures.Requests,
        ["served"] = figures.Served,
        ["errors"] = figures.ErrorCount,
        ["errors_by_reason"] = new JsonObject(figures.Errors.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)e.Value))),
        ["candidates_per_request"] = candidates,
        ["throughput_rps"] = Math.Round(figures.ServedPerSecond, 2),
        ["latency_ms"] = Quantiles(figures.Latency),
        ["send_delay_ms"] = Quantiles(figures.SendDelay),
        ["versions"] = new JsonArray([.. figures.Versions.Select(v => (JsonNode)new JsonObject
        {
            ["version"] = v.Version,
            ["first_reply_unix_ms"] = v.FirstReplyUnixMs,
            ["watermark_ms"] = v.WatermarkMs,
            ["replies"] = v.Replies,
        })]),
    };

    public static JsonObject Quantiles(LatencyHistogram latency) => new()
    {
        ["p50"] = latency.QuantileMs(0.5),
        ["p99"] = latency.QuantileMs(0.99),
        ["p999"] = latency.QuantileMs(0.999),
        ["max"] = latency.MaxUs / 1000.0,
    };

    /// <summary>One line for people.</summary>
    public static string Line(TrafficFigures figures) => string.Create(CultureInfo.InvariantCulture,
        $"{figures.Seconds,6:F0} s  {figures.Served} served  {figures.ServedPerSecond:F0}/s  "
        + $"p50 {figures.Latency.QuantileMs(0.5):F2}  p99 {figures.Latency.QuantileMs(0.99):F2}  max {figures.Latency.MaxUs / 1000.0:F1} ms  "
        + $"version {(figures.Versions.Count > 0 ? figures.Versions[^1].Version : 0)} ({figures.Versions.Count} seen)  errors {figures.ErrorCount}");

    /// <summary>Errors by reason for people, or the empty text.</summary>
    public static string ErrorLine(TrafficFigures figures) =>
        string.Join(", ", figures.Errors.Select(e => $"{e.Value} {e.Key}"));

    /// <summary>What the first failed request was told, to follow the errors by reason; or the empty text.</summary>
    public static string FirstError(TrafficRecord record) => record.FirstError is { } words ? $"; the first: {words}" : "";
}
