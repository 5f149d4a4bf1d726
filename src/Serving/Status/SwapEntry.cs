namespace KdServing.Serving.Status;

/// <summary>What became of one version: an entry of the swap ledger. Times are milliseconds since the Unix epoch; null: not reached.</summary>
public sealed record SwapEntry
{
    public required long Version { get; init; }

    /// <summary>The version in service before; null for the first.</summary>
    public long? From { get; init; }

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

    /// <summary>Exchanging the field requests read.</summary>
    public double? SwapMs { get; init; }

    /// <summary>Until the last request on the version before was answered.</summary>
    public double? DrainMs { get; init; }

    public required double RssBeforeMb { get; init; }

    public double? RssAfterMb { get; init; }

    /// <summary>Why the version is not served; null when it is.</summary>
    public string? Error { get; init; }
}
