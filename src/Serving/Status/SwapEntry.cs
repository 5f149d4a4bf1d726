namespace KdServing.Serving.Status;

/// <summary>What became of one version: an entry of the swap ledger. Times are milliseconds since the Unix epoch; null: not reached.</summary>
public sealed record SwapEntry
{
    public required long Version { get; init; }

    /// <summary>The version in service before; null for the first.</summary>
    public long? From { get; init; }

    /// <summary>Why it came into service: <c>published</c>, <c>pinned</c>, <c>rollback: …</c>.</summary>
    public string Cause { get; init; } = "published";

    public required long LoadStartedMs { get; init; }

    public long? LoadedMs { get; init; }

    public long? WarmedMs { get; init; }

    public long? SwappedMs { get; init; }

    public long? DrainedMs { get; init; }

    public long? DisposedMs { get; init; }

    /// <summary>Reading, verifying, opening, applying rows, comparing with the golden batch.</summary>
    public double? LoadMs { get; init; }

    public double? WarmMs { get; init; }

    /// <summary>Waiting for the item catalog's vectors of this version; null without a catalog.</summary>
    public double? VectorsMs { get; init; }

    /// <summary>Comparing it with the version in service on recent requests; null: there was nothing to compare with.</summary>
    public double? CheckMs { get; init; }

    /// <summary>Mean share of the top candidates of recent requests that it changes, 0 to 1.</summary>
    public double? Churn { get; init; }

    /// <summary>Recent requests compared.</summary>
    public long? ChurnRequests { get; init; }

    /// <summary>Exchanging the field requests read.</summary>
    public double? SwapMs { get; init; }

    /// <summary>Until the last request on the version replaced, and on those freed by this swap, was answered.</summary>
    public double? DrainMs { get; init; }

    public required double RssBeforeMb { get; init; }

    /// <summary>The largest seen between the steps of loading.</summary>
    public double? RssPeakMb { get; init; }

    /// <summary>When the versions that this swap pushed out were freed; the one replaced stays warm.</summary>
    public double? RssAfterMb { get; init; }

    /// <summary>Why the version is not served; null when it is.</summary>
    public string? Error { get; init; }

    /// <summary>Resident memory of this process now.</summary>
    internal static double ResidentMb() => Math.Round(Environment.WorkingSet / 1048576.0, 1);

    /// <summary>With the memory of now, if it is the largest so far.</summary>
    internal SwapEntry AtPeak() => this with { RssPeakMb = Math.Max(RssPeakMb ?? 0, ResidentMb()) };
}
