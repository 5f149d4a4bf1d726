namespace KdServing.LoadTests.Teaching;

/// <summary>What <c>kd teach</c> was asked for.</summary>
public sealed record TeachOptions
{
    /// <summary>Data folder, or the name of a sample that needs no files.</summary>
    public required string Data { get; init; }

    /// <summary>Null: teacher.json beside the dataset's description.</summary>
    public string? Config { get; init; }

    /// <summary>Null: found above the program.</summary>
    public string? Samples { get; init; }

    public required string Redis { get; init; }

    /// <summary>Null: the name of the schema.</summary>
    public string? Model { get; init; }

    /// <summary>Impressions a second; null: automatic.</summary>
    public double? Rate { get; init; }

    public string? PaceBy { get; init; }

    public string? Status { get; init; }

    public string? ProducedLog { get; init; }

    /// <summary>Null: labels travel with their records.</summary>
    public double? LabelDelaySeconds { get; init; }

    public required string Cache { get; init; }

    /// <summary>Null: to the end of the data.</summary>
    public double? Seconds { get; init; }

    public double PrepareSeconds { get; init; } = 100;

    public bool PrepareOnly { get; init; }

    public ulong Seed { get; init; } = 1;
}
