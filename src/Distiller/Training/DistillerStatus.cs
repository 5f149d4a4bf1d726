using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;
using KdServing.Distiller.Calibration;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Training;

/// <summary>The status file: what the loop is doing, once a second, for whoever watches.</summary>
public sealed record DistillerStatus
{
    public string Process { get; } = "distiller";

    public int Pid { get; } = Environment.ProcessId;

    public required long UpdatedAtMs { get; init; }

    /// <summary><c>waiting</c>, <c>training</c> or <c>stopped</c>.</summary>
    public required string Phase { get; init; }

    /// <summary>Valid records read, repeats not counted, held out ones included; since the model began, like all counts.</summary>
    public required long Consumed { get; init; }

    public required long HeldOut { get; init; }

    public required long DeadLettered { get; init; }

    /// <summary>Of consumed and dead-lettered, those that the newest durable checkpoint covers.</summary>
    public required long Acked { get; init; }

    public required long Missing { get; init; }

    public required long Repeats { get; init; }

    public required long LagRecords { get; init; }

    public required long MaxLagRecords { get; init; }

    /// <summary>Exponential mean over some fifty batches.</summary>
    public required double? TrainingLoss { get; init; }

    /// <summary>Over the last seconds.</summary>
    public required double RecordsPerSecond { get; init; }

    /// <summary>Records consumed a second of work: what the loop could do if it never waited.</summary>
    public required double? RecordsPerBusySecond { get; init; }

    public required long VersionsPublished { get; init; }

    public required long HeldByGate { get; init; }

    public required long? NewestVersion { get; init; }

    public required long? LiveVersion { get; init; }

    public required long WatermarkMs { get; init; }

    public required IReadOnlyDictionary<string, string> Position { get; init; }

    /// <summary>What became of delayed labels; null when they are not waited for.</summary>
    public required LabelCounters? Labels { get; init; }

    /// <summary>Fencing epoch under which this process trains.</summary>
    public required long Epoch { get; init; }

    /// <summary>Batches learned since the model began.</summary>
    public required long Batches { get; init; }

    /// <summary>Journal entries followed at the start of this process.</summary>
    public required long Replayed { get; init; }

    /// <summary>Journaled entries given up on the operator's word.</summary>
    public required long Lost { get; init; }

    /// <summary>SHA-256 of the student's whole state in the newest full checkpoint; null before one.</summary>
    [JsonPropertyName("weights_sha256")]
    public required string? WeightsSha256 { get; init; }

    /// <summary>Dense weights and embedding elements of the student.</summary>
    public required long Parameters { get; init; }

    public required double RssMb { get; init; }

    /// <summary>Seconds of work by phase since the process started.</summary>
    public required IReadOnlyDictionary<string, double> PhaseSeconds { get; init; }

    public required IReadOnlyDictionary<string, ScorerMetrics> Scorers { get; init; }

    [JsonPropertyName("gauc_difference_95")]
    public required IReadOnlyDictionary<string, double[]?> GaucDifference95 { get; init; }

    public required double? TransferRatio { get; init; }

    /// <summary>Teacher → newest version learned from.</summary>
    public required IReadOnlyDictionary<string, long> TeacherVersions { get; init; }

    /// <summary>The last versions of each teacher and how their logits are learned.</summary>
    public required IReadOnlyList<TakenVersion> TeacherCalibration { get; init; }

    /// <summary>Metrics on the records that each of the last versions scored.</summary>
    public required IReadOnlyList<TeacherVersionMetrics> ByTeacherVersion { get; init; }

    /// <summary>Replaces the file; a reader sees the old status or the new. A failure is reported and no more: a status is not worth a stop.</summary>
    public void Write(string path)
    {
        try
        {
            var temporary = $"{path}.{Environment.ProcessId}.tmp";
            File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(this, ContractJson.Options));
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DistillerLog.WarnSometimes("status", $"status not written: {e.Message}", seconds: 60);
        }
    }
}
