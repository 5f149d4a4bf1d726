using KdServing.Serving.Catalog;

namespace KdServing.Serving.Status;

/// <summary><c>/status.json</c>. Times are milliseconds since the Unix epoch; null: nothing of the kind yet.</summary>
public sealed record StatusReport
{
    public string Process => "serving";

    public required int Pid { get; init; }

    public required string State { get; init; }

    public required long StartedMs { get; init; }

    public required long UpdatedAtMs { get; init; }

    public required int Port { get; init; }

    public required int? HttpPort { get; init; }

    /// <summary>Null: nobody can command the server.</summary>
    public required int? ControlPort { get; init; }

    public required string Model { get; init; }

    public required long? Version { get; init; }

    /// <summary>What is loaded beside the version in service, and what people want.</summary>
    public required LineupReport Lineup { get; init; }

    public required long? WatermarkMs { get; init; }

    /// <summary>Event time of the newest teacher record in the stream minus the watermark, seconds.</summary>
    public required double? ModelAgeSeconds { get; init; }

    /// <summary>Write time of the newest teacher record the version has learned from.</summary>
    public required long? LearnedUntilMs { get; init; }

    /// <summary>From that write until the version's first reply, milliseconds.</summary>
    public required double? LogitToServedMs { get; init; }

    /// <summary>Overlap@10 with the teacher, as the Distiller finds it.</summary>
    public required double? Fidelity { get; init; }

    /// <summary>Stream key → id of the last entry the version has learned from.</summary>
    public required IReadOnlyDictionary<string, string>? Position { get; init; }

    public required long? VersionCreatedMs { get; init; }

    public required long? RecordsLearned { get; init; }

    public required IReadOnlyDictionary<string, long>? TeacherVersions { get; init; }

    /// <summary>What the trainer measured when it published the version.</summary>
    public required IReadOnlyDictionary<string, double>? Metrics { get; init; }

    public required string Device { get; init; }

    public required string DeviceReason { get; init; }

    /// <summary>What computes the current version's scores; null while there is none.</summary>
    public string? Engine { get; init; }

    /// <summary>Memory of versions' tables and weights on a GPU, bytes; null: the processor scores.</summary>
    public long? DeviceBytes { get; init; }

    /// <summary>Null: the server was started without Redis.</summary>
    public required bool? RedisConnected { get; init; }

    public required long VersionsServed { get; init; }

    public required IReadOnlyDictionary<long, string> VersionsRefused { get; init; }

    public required long Requests { get; init; }

    public required long Errors { get; init; }

    public required IReadOnlyDictionary<string, long> Codes { get; init; }

    public required int InFlight { get; init; }

    public required int Queued { get; init; }

    public required double RssMb { get; init; }

    /// <summary>Since the start; successful requests.</summary>
    public required LatencySummary LatencyMs { get; init; }

    /// <summary>Second by second, five minutes.</summary>
    public required IReadOnlyList<LatencyPoint> LatencySeries { get; init; }

    public required IReadOnlyList<SwapEntry> Swaps { get; init; }

    /// <summary>Null without an item catalog.</summary>
    public CatalogReport? Catalog { get; init; }

    /// <summary>Null where every request is scored by itself.</summary>
    public BatchingReport? Batching { get; init; }
}

/// <summary>Milliseconds.</summary>
public sealed record LatencySummary(double P50, double P99, double P999, double Max);

/// <summary>What is loaded beside the version in service, what people want, and how the version in service does.</summary>
/// <param name="Previous">Warm: what a rollback returns to.</param>
/// <param name="ShadowChurn">Mean share of the top candidates the candidate would change, on <paramref name="ShadowRequests"/> requests.</param>
/// <param name="Rejected">Versions rolled back, and why.</param>
/// <param name="Failed">Requests the version in service failed that another version answered.</param>
public sealed record LineupReport(long? Previous, long? Candidate, double CandidateShare, double ShadowShare, long ShadowRequests, double ShadowChurn,
    long? Pinned, bool Held, string HeldReason, IReadOnlyDictionary<long, string> Rejected, long Answered, long Failed);
