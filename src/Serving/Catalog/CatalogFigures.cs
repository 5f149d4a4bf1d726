namespace KdServing.Serving.Catalog;

/// <summary>What the catalog holds and does, at a moment.</summary>
public sealed record CatalogFigures
{
    public required int Items { get; init; }

    /// <summary>Slots in use or waiting to be used again.</summary>
    public required int Slots { get; init; }

    /// <summary>The version prepared last.</summary>
    public required long Version { get; init; }

    /// <summary>Items that version had to encode.</summary>
    public required int Encoding { get; init; }

    /// <summary>Items it has still to encode.</summary>
    public required int Left { get; init; }

    /// <summary>Share of the last minute's requests whose items have their vector; 0 to 1.</summary>
    public required double CoveredShare { get; init; }

    /// <summary>Core time its encoding has taken.</summary>
    public required double CoreSeconds { get; init; }

    /// <summary>Candidates encoded inside requests, since the start.</summary>
    public required long EncodedByRequests { get; init; }

    /// <summary>Candidates whose item was not there, since the start.</summary>
    public required long UnknownCandidates { get; init; }

    public required long VectorBytes { get; init; }

    /// <summary>The same vectors once more, on a GPU.</summary>
    public required long DeviceVectorBytes { get; init; }

    /// <summary>Without the lists of sequences.</summary>
    public required long FeatureBytes { get; init; }

    public required long IndexBytes { get; init; }
}
