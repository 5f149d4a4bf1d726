namespace KdServing.Serving.Control;

/// <summary>What people told this server, and what it must not forget when it restarts.</summary>
public sealed record ControlState
{
    /// <summary>The version to serve whatever else is published; 0: none.</summary>
    public long Pinned { get; init; }

    /// <summary>No automatic swaps.</summary>
    public bool Held { get; init; }

    /// <summary>Why; empty when not held.</summary>
    public string HeldReason { get; init; } = "";

    /// <summary>Versions that were rolled back, and why: not taken again unless pinned.</summary>
    public IReadOnlyDictionary<long, string> Rejected { get; init; } = new Dictionary<long, string>();

    /// <summary>The version in service last: with signed versions, none older than it is taken (a replay) unless pinned. Null before the first.</summary>
    public ServedVersion? Served { get; init; }

    /// <summary>Without the version in <see cref="Rejected"/>.</summary>
    public ControlState Accepting(long version) =>
        Rejected.ContainsKey(version) ? this with { Rejected = Rejected.Where(r => r.Key != version).ToDictionary() } : this;
}

/// <summary>A version that was in service.</summary>
/// <param name="CreatedAtMs">Milliseconds since the Unix epoch; tells it from one of a repository made anew.</param>
public sealed record ServedVersion(long Version, long CreatedAtMs);
