namespace KdServing.LoadTests.Teaching;

/// <summary>Where and how fast a replay is streamed.</summary>
public sealed record TeacherStreamOptions
{
    public required string Model { get; init; }

    /// <summary>Impressions a second; null: 70 % of what the slower end can do, see <see cref="Pace"/>.</summary>
    public double? Rate { get; init; }

    /// <summary>Status file of the Distiller to keep pace with.</summary>
    public string? PaceBy { get; init; }

    public string? ProducedLog { get; init; }

    /// <summary>Event time after which labels follow their records; null: they travel with them. What is due after the end is never sent.</summary>
    public double? LabelDelaySeconds { get; init; }

    /// <summary>Where the position is kept, and beside it the weights; null: a restart begins anew.</summary>
    public string? PositionFile { get; init; }

    /// <summary>Streaming time, over all runs of a replay; null: to the end of the data.</summary>
    public double? Seconds { get; init; }

    /// <summary>Streaming time between two saves of the weights.</summary>
    public double SaveSeconds { get; init; } = 15;
}
