using System.Text.Json.Serialization;

namespace KdServing.LoadTests.Kills;

/// <summary>What a kill run found; <c>--report</c> writes it as JSON.</summary>
internal sealed record KillReport
{
    public required int Seed { get; init; }

    public required int Kills { get; init; }

    /// <summary>Step before which the Distiller died → how often.</summary>
    public required IReadOnlyDictionary<string, int> ByStep { get; init; }

    public required KillRecordCounts Records { get; init; }

    public required KillVersionCounts Versions { get; init; }

    [JsonPropertyName("weights_equal_unkilled_run")]
    public required bool WeightsEqualUnkilledRun { get; init; }

    [JsonPropertyName("calibration_equal_unkilled_run")]
    public required bool CalibrationEqualUnkilledRun { get; init; }

    /// <summary>SHA-256 of weights, rows and optimiser state.</summary>
    [JsonPropertyName("weights_sha256")]
    public required string WeightsSha256 { get; init; }

    public required double Seconds { get; init; }

    [JsonIgnore]
    public bool Holds => WeightsEqualUnkilledRun && CalibrationEqualUnkilledRun && Versions.Changed == 0 && Versions.Gaps == 0
        && Records is { Lost: 0, AppliedTwice: 0 } && Records.DeadLettered == Records.Poisoned && Records.Recognised == Records.Repeated;
}

/// <param name="Recognised">Repeats that the Distiller did not apply.</param>
internal sealed record KillRecordCounts(long Produced, long Applied, long Lost, long AppliedTwice, long Poisoned, long DeadLettered, long Repeated, long Recognised);

/// <param name="Changed">Versions that were seen with one content and later with another.</param>
/// <param name="Gaps">Version numbers that were left out.</param>
internal sealed record KillVersionCounts(long Published, long Changed, long Gaps);
