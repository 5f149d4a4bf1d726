namespace KdServing.Contracts;

/// <summary><c>&lt;root&gt;/&lt;model&gt;/wanted.json</c>: what a person wants of every server that reads the repository. A server's own pin goes before it.</summary>
/// <remarks>Servers that trust signed versions only do not look at it: it is not signed, and could bring an old version back.</remarks>
public sealed record WantedVersion
{
    public const string FileName = "wanted.json";

    /// <summary>The version to serve; 0: the newest good one.</summary>
    public long Pinned { get; init; }

    /// <summary>No automatic swaps.</summary>
    public bool Held { get; init; }

    /// <summary>For people.</summary>
    public string Reason { get; init; } = "";
}
