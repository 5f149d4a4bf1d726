using KdServing.Contracts;

namespace KdServing.Serving.Control;

/// <summary>A manifest in a line.</summary>
internal static class VersionSummaries
{
    public static VersionSummary Of(VersionManifest manifest) => new()
    {
        Version = manifest.Version,
        Kind = manifest.Kind == VersionKind.Base ? "base" : "delta",
        BaseVersion = manifest.BaseVersion,
        CreatedAtMs = manifest.CreatedAtMs,
        WatermarkMs = manifest.WatermarkMs,
        RecordsLearned = manifest.RecordsLearned,
        Metrics = { manifest.Metrics.ToDictionary() },
        Bytes = manifest.Files.Values.Sum(f => f.Bytes),
        Role = "present",
    };
}
