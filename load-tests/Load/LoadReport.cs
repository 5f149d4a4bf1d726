using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using KdServing.LoadTests.Traffic;
using Spectre.Console;

namespace KdServing.LoadTests.Load;

/// <summary>What a load test found, as a table, JSON and CSV.</summary>
/// <param name="Command">The command line, so that a report says how it came to be.</param>
/// <param name="Finding">In a sentence; may be empty.</param>
internal sealed record LoadReport(string Command, DateTimeOffset Started, int Candidates, IReadOnlyList<StepResult> Steps, string Finding)
{
    /// <summary>Points of the percentile plot: 1 − 1/10^k in tenths of k, to five nines.</summary>
    public static readonly IReadOnlyList<double> Quantiles = [.. Enumerable.Range(0, 51).Select(k => 1 - Math.Pow(10, -k / 10.0))];

    public Table Table()
    {
        var table = new Table().AddColumns("step", "rps", "p50 ms", "p90", "p99", "p99.9", "max", "swaps", "p99 in swap", "errors", "send delay p99", "client µs");
        var withServer = Steps.Any(s => s.ServerUs is not null);
        if (withServer)
            table.AddColumn("server µs");
        foreach (var step in Steps)
        {
            var f = step.Figures;
            List<string> cells =
            [
                Markup.Escape(step.Name), Text(f.Rps, "F0"), Ms(f.Latency.QuantileMs(0.5)), Ms(f.Latency.QuantileMs(0.9)), Ms(f.Latency.QuantileMs(0.99)),
                Ms(f.Latency.QuantileMs(0.999)), Ms(f.Latency.MaxUs / 1000.0), $"{f.Swaps.Count}", f.DuringSwap.Count == 0 ? "-" : Ms(f.DuringSwap.QuantileMs(0.99)),
                $"{f.ErrorCount}", Ms(f.SendDelay.QuantileMs(0.99)), Text(step.ClientUs, "F0"),
            ];
            if (withServer)
                cells.Add(Text(step.ServerUs ?? 0, "F0"));
            table.AddRow([.. cells]);
        }
        return table;
    }

    public JsonObject Json() => new()
    {
        ["command"] = Command,
        ["started"] = Started.ToString("O", CultureInfo.InvariantCulture),
        ["machine"] = $"{Environment.ProcessorCount} cores, {Environment.OSVersion.VersionString}",
        ["finding"] = Finding,
        ["steps"] = new JsonArray([.. Steps.Select(Json)]),
    };

    /// <summary>The timelines, one row a stretch.</summary>
    public string Csv()
    {
        var text = new StringBuilder("step,at_seconds,served,errors,p50_ms,p99_ms,max_ms,version\n");
        foreach (var step in Steps)
        {
            foreach (var p in step.Figures.Timeline)
                text.AppendLine(CultureInfo.InvariantCulture, $"\"{step.Name}\",{p.AtSeconds:F3},{p.Served},{p.Errors},{p.P50Ms:F3},{p.P99Ms:F3},{p.MaxMs:F3},{p.Version}");
        }
        return text.ToString();
    }

    /// <summary>Every request, one row each.</summary>
    public IEnumerable<string> Requests() => Steps.SelectMany(step => step.Figures.Samples.Samples.Select(s => string.Create(CultureInfo.InvariantCulture,
        $"\"{step.Name}\",{step.Figures.Samples.UnixMsOf(s.IntendedNs):F3},{s.LatencyUs},{s.SendDelayNs / 1000},{s.Outcome.Name()},{s.Version}")))
        .Prepend("step,intended_unix_ms,latency_us,send_delay_us,outcome,version");

    private JsonNode Json(StepResult step)
    {
        var f = step.Figures;
        return new JsonObject
        {
            ["name"] = step.Name,
            ["rate"] = step.Rate,
            ["concurrency"] = step.Concurrency,
            ["seconds"] = f.Seconds,
            ["started_unix_ms"] = f.Samples.BeginUnixMs,
            ["requests"] = f.Requests,
            ["served"] = f.Latency.Count,
            ["errors"] = f.ErrorCount,
            ["errors_by_reason"] = new JsonObject(f.Errors.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)e.Value))),
            ["candidates_per_request"] = Candidates,
            ["throughput_rps"] = Math.Round(f.Rps, 2),
            ["latency_ms"] = Latency(f.Latency),
            ["send_delay_ms"] = Latency(f.SendDelay),
            ["refused_ms"] = f.Refused.Count == 0 ? null : Latency(f.Refused),
            ["client_cpu_us_per_request"] = Math.Round(step.ClientUs, 2),
            ["server_cpu_us_per_request"] = step.ServerUs is { } us ? Math.Round(us, 2) : null,
            ["swaps"] = f.Swaps.Count,
            ["latency_ms_during_swap"] = Latency(f.DuringSwap),
            ["latency_ms_outside_swap"] = Latency(f.OutsideSwap),
            ["versions"] = new JsonArray([.. f.Versions.Select(v => (JsonNode)new JsonObject
            {
                ["version"] = v.Version,
                ["first_reply_unix_ms"] = v.FirstReplyUnixMs,
                ["replies"] = v.Replies,
            })]),
            ["swap_marks"] = new JsonArray([.. f.Swaps.Select(s => (JsonNode)new JsonObject
            {
                ["version"] = s.Version,
                ["from_seconds"] = Math.Round(s.FromSeconds, 3),
                ["to_seconds"] = Math.Round(s.ToSeconds, 3),
                ["first_reply_seconds"] = Math.Round(s.FirstReplySeconds, 3),
            })]),
            ["percentiles"] = new JsonArray([.. Quantiles.Select(q => (JsonNode)new JsonArray(q, f.Latency.QuantileMs(q)))]),
            ["timeline"] = new JsonArray([.. f.Timeline.Select(p => (JsonNode)new JsonArray(
                Math.Round(p.AtSeconds, 3), p.Served, p.Errors, p.P50Ms, p.P99Ms, p.MaxMs, p.Version))]),
        };
    }

    private static JsonObject Latency(LatencyHistogram latency)
    {
        var json = TrafficReport.Quantiles(latency);
        json["p90"] = latency.QuantileMs(0.9);
        json["mean"] = Math.Round(latency.MeanUs / 1000, 4);
        json["count"] = latency.Count;
        return json;
    }

    private static string Ms(double ms) => Text(ms, "F2");

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
