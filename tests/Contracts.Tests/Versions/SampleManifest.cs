namespace KdServing.Contracts.Tests.Versions;

/// <summary>A valid manifest to change one thing of.</summary>
internal static class SampleManifest
{
    public static VersionManifest Base(long version, IReadOnlyDictionary<string, VersionFile>? files = null) => new()
    {
        Format = VersionManifest.CurrentFormat,
        Model = "news",
        Version = version,
        Kind = VersionKind.Base,
        BaseVersion = version,
        PreviousVersion = 0,
        CreatedAtMs = 1_760_000_000_000,
        SchemaFingerprint = "00000000000000ab",
        Signature = new("mlp", 8, 4, 0, 16, 16, ["click"]),
        Position = new Dictionary<string, string> { ["kd:news:logits"] = "1760000000000-5" },
        WatermarkMs = 1_510_000_000_000,
        TeacherVersions = new Dictionary<string, long> { ["cascade"] = 3 },
        RecordsLearned = 1000,
        Metrics = new Dictionary<string, double> { ["gauc"] = 0.75 },
        Files = files ?? new Dictionary<string, VersionFile>(),
    };

    public static VersionManifest Delta(long version, long previous, long baseVersion, IReadOnlyDictionary<string, VersionFile>? files = null) =>
        Base(version, files) with { Kind = VersionKind.Delta, PreviousVersion = previous, BaseVersion = baseVersion };
}
