using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.Contracts;

namespace KdServing.LoadTests.Demo;

/// <summary>What a demo measured. Its JSON keys are stable: scripts check them. A null means: not measured in this run.</summary>
internal sealed record DemoReport
{
    public required DataSection Data { get; init; }

    public required TeacherSection Teacher { get; init; }

    /// <summary>auc, gauc, logloss, overlap_at_10, calibration of the version live in Serving, and its parameter count.</summary>
    public required JsonNode? Student { get; init; }

    public required JsonNode? StudentLatest { get; init; }

    public required JsonNode? StudentLabelsOnly { get; init; }

    public required JsonNode? StudentFrozen { get; init; }

    [System.Text.Json.Serialization.JsonPropertyName("gauc_difference_95")]
    public required JsonNode? GaucDifference95 { get; init; }

    public required double? TransferRatio { get; init; }

    public required StreamSection Stream { get; init; }

    public required RefreshSection Refresh { get; init; }

    public required ServingSection Serving { get; init; }

    public required ResourcesSection Resources { get; init; }

    /// <summary>Processes that died and were started again during the run.</summary>
    public required int Restarts { get; init; }

    public sealed record DataSection(string Name, string Source, long Records);

    public sealed record TeacherSection(double? Auc, double? Gauc, double? Logloss);

    public sealed record StreamSection(long Produced, long Consumed, long Acked, long HeldOut, long DeadLettered, long Lost,
        long MaxLagRecords, double RecordsPerSecond);

    public sealed record RefreshSection(long VersionsPublished, long VersionsServed, long HeldByGate, long Unserved,
        Percentiles LogitToServedMs, SwapTimes SwapMs);

    public sealed record ServingSection(string Device, long Requests, long Errors, int CandidatesPerRequest, Percentiles LatencyMs,
        Percentiles LatencyMsDuringSwap, double ThroughputRps);

    public sealed record ResourcesSection(double? ServingRssMbStart, double? ServingRssMbEnd, double? DistillerRssMbEnd);

    public sealed record SwapTimes(double? P50, double? Max);

    public sealed record Percentiles(double? P50, double? P99, double? P999 = null, double? Max = null)
    {
        public static Percentiles Of(IEnumerable<double> values)
        {
            var sorted = values.Order().ToArray();
            return new(Freshness.Percentile(sorted, 0.5), Freshness.Percentile(sorted, 0.99),
                Freshness.Percentile(sorted, 0.999), sorted.Length == 0 ? null : sorted[^1]);
        }
    }

    public string ToJson() => JsonSerializer.Serialize(this, ContractJson.Options);
}
