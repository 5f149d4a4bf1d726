using KdServing.Contracts;

namespace KdServing.Serving.Ranking;

/// <summary>What a request may ask for.</summary>
public sealed record RankingLimits
{
    /// <summary>Candidates a request; memory for scoring grows with it.</summary>
    public int MaxCandidates { get; init; } = TeacherRecordValidation.MaxCandidates;

    /// <summary>Requests scored at a time: one a core, since each computes without waiting.</summary>
    public int Concurrency { get; init; } = Environment.ProcessorCount;

    /// <summary>Expected wait beyond which a request is refused at once, milliseconds.</summary>
    public double MaxQueueMs { get; init; } = 20;
}
