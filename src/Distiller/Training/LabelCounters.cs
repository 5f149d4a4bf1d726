namespace KdServing.Distiller.Training;

/// <summary>What became of label records and of the records that waited for them, since the model began.</summary>
public sealed record LabelCounters
{
    /// <summary>Labels learned.</summary>
    public long Joined { get; init; }

    /// <summary>Labels that came after the window; not learned.</summary>
    public long Late { get; init; }

    /// <summary>Labels of targets that were known already; not learned again.</summary>
    public long Duplicate { get; init; }

    /// <summary>Labels of a request that never came, within the window.</summary>
    public long Unmatched { get; init; }

    /// <summary>Labels for another number of candidates than their record has; not learned.</summary>
    public long Mismatched { get; init; }

    /// <summary>Records that were given up waiting, at the end of the window or for want of room.</summary>
    public long Expired { get; init; }

    /// <summary>Records that wait for labels now.</summary>
    public long Open { get; init; }
}
