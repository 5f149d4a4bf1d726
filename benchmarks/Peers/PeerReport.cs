using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace KdServing.Benchmarks.Peers;

/// <summary>The samples as the tables people read (Markdown, so that they can be committed) and as the report's rows.</summary>
internal sealed class PeerReport(IReadOnlyList<PeerSamples> samples)
{
    /// <summary>One table an N, best throughput first, with ratios to the reference peer by the same method.</summary>
    public string Tables()
    {
        var text = new StringBuilder();
        foreach (var byN in samples.GroupBy(s => s.N).OrderBy(g => g.Key))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"## N = {byN.Key}").AppendLine();
            text.AppendLine($"| peer | method | C=1 p50 / p99 ms | max rps | server µs a request | open loop at 50 %: rate, p99 ms | at half of {PeerLineup.Reference}'s maximum: p99 ms | ratio to {PeerLineup.Reference}: p50, rps, µs | request |");
            text.AppendLine("|---|---|---|---|---|---|---|---|---|");
            foreach (var row in byN.OrderByDescending(r => r.MaxRps))
                text.AppendLine(Line(row));
            text.AppendLine();
        }
        return text.ToString();
    }

    /// <summary>The ratios that were set as goals, each with what was measured, and between what half of the turns' ratios lie.</summary>
    public string Goals()
    {
        var text = new StringBuilder("| goal | N | method | measured | half of the turns | met |\n|---|---|---|---|---|---|\n");
        foreach (var goal in PeerGoal.All)
        {
            foreach (var row in samples.Where(s => s.Peer == goal.Ours && goal.Applies(s)).OrderBy(s => s.N).ThenBy(s => s.Method, StringComparer.Ordinal))
            {
                if (Find(goal.Peer, row) is not { } peer)
                    continue;
                var (ratio, turns) = (goal.Ratio(row, peer), goal.TurnRatios(row, peer));
                if (turns.Count == 0)
                    continue;
                var quarter = (turns.Count - 1) / 4;
                text.AppendLine(CultureInfo.InvariantCulture,
                    $"| {goal.Words} | {row.N} | {row.Method} | {ratio:F2} | {turns[quarter]:F2} to {turns[^(quarter + 1)]:F2} | {(goal.IsMet(ratio) ? "yes" : "no")} |");
            }
        }
        return text.ToString();
    }

    /// <summary><c>{"rows": [...]}</c>.</summary>
    public JsonObject Json() => new()
    {
        ["rows"] = new JsonArray([.. samples.OrderBy(s => s.N).ThenBy(s => s.Peer, StringComparer.Ordinal).ThenBy(s => s.Method, StringComparer.Ordinal).Select(Row)]),
    };

    /// <summary>Failed requests over all samples.</summary>
    public long Failures => samples.Sum(s => s.All.Sum(a => a.Failures));

    /// <summary>Failed requests of each peer that had any.</summary>
    public IEnumerable<(string Peer, long Failures)> FailuresByPeer => samples.GroupBy(s => s.Peer, StringComparer.Ordinal)
        .Select(g => (g.Key, g.Sum(s => s.All.Sum(a => a.Failures)))).Where(p => p.Item2 > 0);

    /// <summary>How many samples of each kind were still disturbed when taken for the last time.</summary>
    public string Noise()
    {
        var all = samples.SelectMany(s => s.All).ToLookup(s => s.IsOpen);
        return string.Create(CultureInfo.InvariantCulture,
            $"Disturbed were {all[false].Count(s => s.IsDisturbed)} of {all[false].Count()} samples of closed loops (more than {LoadSample.NoiseCores} cores busy with something else) "
            + $"and {all[true].Count(s => s.IsDisturbed)} of {all[true].Count()} of open loops (that, or more than {LoadSample.StolenCores} cores taken away by the host).");
    }

    private static double Rate(PeerSamples row) => row.OpenHalf.Count == 0 ? double.NaN : row.OpenHalf.Average(o => o.Rate);

    private PeerSamples? Find(string peer, PeerSamples like) => samples.FirstOrDefault(s => s.Peer == peer && s.N == like.N && s.Method == like.Method);

    private string Line(PeerSamples row)
    {
        var ratios = Find(PeerLineup.Reference, row) is { } reference
            ? string.Create(CultureInfo.InvariantCulture, $"{Median.Of(row.C1P50s) / Median.Of(reference.C1P50s):F2}, {row.MaxRps / reference.MaxRps:F2}, {Median.Of(row.ServerUs) / Median.Of(reference.ServerUs):F2}")
            : "";
        var bytes = row.Closed.First().Value[0].RequestBytes;
        return string.Create(CultureInfo.InvariantCulture,
            $"| {row.Peer} | {row.Method} | {Median.Of(row.C1P50s):F2} / {Median.Of(row.C1P99s):F2} | {row.MaxRps:F0} | {Median.Of(row.ServerUs):F0} | {Rate(row):F0}, {Median.Of(row.OpenHalfP99s):F2} | {Optional(Median.Of(row.OpenReferenceP99s))} | {ratios} | {bytes / 1000.0:F1} KB |");
    }

    private static string Optional(double value) => double.IsNaN(value) ? "" : value.ToString("F2", CultureInfo.InvariantCulture);

    private static JsonNode Row(PeerSamples row)
    {
        var json = new JsonObject
        {
            ["peer"] = row.Peer,
            ["method"] = row.Method,
            ["n"] = row.N,
            ["c1_p50_ms"] = Rounded(Median.Of(row.C1P50s)),
            ["c1_p99_ms"] = Rounded(Median.Of(row.C1P99s)),
            ["max_rps"] = Rounded(row.MaxRps),
            ["server_cpu_us_per_request"] = Rounded(Median.Of(row.ServerUs)),
            ["open50_rate"] = Rounded(Rate(row)),
            ["open50_p99_ms"] = Rounded(Median.Of(row.OpenHalfP99s)),
            ["request_bytes"] = row.Closed.First().Value[0].RequestBytes,
            ["failed"] = row.All.Sum(s => s.Failures),
        };
        if (row.OpenReference.Count > 0)
        {
            json["open_peer50_rate"] = Rounded(row.OpenReference.Average(o => o.Rate));
            json["open_peer50_p99_ms"] = Rounded(Median.Of(row.OpenReferenceP99s));
        }
        return json;
    }

    private static JsonNode? Rounded(double value) => double.IsFinite(value) ? Math.Round(value, 4) : null;
}
