using System.Text.Json;

namespace KdServing.Contracts;

public enum VersionKind
{
    /// <summary>Whole tables; needs no other version.</summary>
    Base,

    /// <summary>Rows changed since <see cref="VersionManifest.PreviousVersion"/>.</summary>
    Delta,
}

/// <summary>One file of a version.</summary>
/// <param name="Sha256">Lower-case hex.</param>
public sealed record VersionFile(long Bytes, string Sha256);

/// <summary>The moment of training that a version shows.</summary>
/// <param name="Life">The history it belongs to; see <c>docs/refresh.md</c>.</param>
/// <param name="Batch">Batches learned.</param>
/// <param name="JournalSequence">Entry of the model's journal that decided on it.</param>
/// <param name="Configuration">Hash of what decides how a batch changes the weights: losses, optimisers, shape, seed.</param>
public sealed record VersionLineage(string Life, long Batch, long JournalSequence, string Configuration);

/// <summary><c>manifest.json</c>: what a version is, what it has learned from, and the hash of every file.</summary>
public sealed record VersionManifest
{
    public const string FileName = "manifest.json";

    /// <summary>Signature of <see cref="FileName"/>'s bytes; only of signed versions.</summary>
    public const string SignatureFileName = "manifest.sig";

    public const int CurrentFormat = 1;

    public required int Format { get; init; }

    public required string Model { get; init; }

    /// <summary>Rises by one with every publication of the model.</summary>
    public required long Version { get; init; }

    public required VersionKind Kind { get; init; }

    /// <summary>The base this version's rows rest on; itself for a base.</summary>
    public required long BaseVersion { get; init; }

    /// <summary>The version whose rows this delta changes; 0 for a base.</summary>
    public required long PreviousVersion { get; init; }

    /// <summary>Milliseconds since the Unix epoch.</summary>
    public required long CreatedAtMs { get; init; }

    /// <summary>Fencing epoch of the Distiller that decided on this version; 0: it had none. Never falls from version to version.</summary>
    public long Epoch { get; init; }

    /// <summary>What the version can be rebuilt from; null: from nothing that was noted.</summary>
    public VersionLineage? Lineage { get; init; }

    /// <summary>FeatureSchema.Fingerprint, 16 hex digits.</summary>
    public required string SchemaFingerprint { get; init; }

    public required StudentSignature Signature { get; init; }

    /// <summary>Stream key → id of the last entry this version has learned from.</summary>
    public required IReadOnlyDictionary<string, string> Position { get; init; }

    /// <summary>Event time learned so far: minimum over live producers, milliseconds since the Unix epoch.</summary>
    public required long WatermarkMs { get; init; }

    /// <summary>Teacher name → its newest version learned from.</summary>
    public required IReadOnlyDictionary<string, long> TeacherVersions { get; init; }

    /// <summary>The newest versions of each teacher learned from: how their logits were taken, and how good they were. Null: not noted.</summary>
    public IReadOnlyList<LearnedTeacher>? Teachers { get; init; }

    /// <summary>Records learned from since the model began.</summary>
    public required long RecordsLearned { get; init; }

    /// <summary>Progressive metrics at publication, e.g. <c>gauc</c>.</summary>
    public required IReadOnlyDictionary<string, double> Metrics { get; init; }

    /// <summary>File name → size and hash; every file of the folder except the manifest.</summary>
    public required IReadOnlyDictionary<string, VersionFile> Files { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, ContractJson.Options);

    /// <summary>Content of <c>manifest.json</c>: the JSON and its <see cref="ManifestSeal"/>.</summary>
    public byte[] ToBytes() => ManifestSeal.Add(ToJson());

    /// <param name="manifestFile">Content of <c>manifest.json</c>.</param>
    /// <exception cref="ContractException">Not a manifest of this format, or changed since it was sealed.</exception>
    public static VersionManifest Parse(ReadOnlySpan<byte> manifestFile)
    {
        var json = ManifestSeal.Open(manifestFile);
        VersionManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<VersionManifest>(json, ContractJson.Options)
                ?? throw new ContractException("manifest", "is empty");
        }
        catch (JsonException e)
        {
            throw new ContractException("manifest", $"is not valid: {e.Message}");
        }
        if (manifest.Format != CurrentFormat)
            throw new ContractException("manifest.format", $"is {manifest.Format}; this build reads {CurrentFormat}");
        Identifier.Require(manifest.Model, "manifest.model");
        RequirePresent(manifest.SchemaFingerprint, "schema_fingerprint");
        RequirePresent(manifest.Signature, "signature");
        RequirePresent(manifest.Signature.Targets, "signature.targets");
        RequirePresent(manifest.Position, "position");
        RequirePresent(manifest.TeacherVersions, "teacher_versions");
        RequirePresent(manifest.Metrics, "metrics");
        RequirePresent(manifest.Files, "files");
        if (manifest.Version <= 0)
            throw new ContractException("manifest.version", "must be positive");
        var isBase = manifest.Kind == VersionKind.Base;
        if (isBase != (manifest.BaseVersion == manifest.Version) || isBase != (manifest.PreviousVersion == 0)
            || (!isBase && (manifest.BaseVersion <= 0 || manifest.PreviousVersion < manifest.BaseVersion || manifest.PreviousVersion >= manifest.Version)))
            throw new ContractException("manifest.base_version", "and previous_version do not fit the kind");
        foreach (var teacher in manifest.Teachers ?? [])
            RequirePresent(teacher?.Teacher is null || teacher.Maps is null || teacher.Metrics is null ? null : teacher, "teachers' teacher, maps or metrics");
        foreach (var (key, id) in manifest.Position)
        {
            if (!StreamId.TryParse(id, out _))
                throw new ContractException("manifest.position", $"of '{key}' is not a stream id");
        }
        foreach (var (name, file) in manifest.Files)
        {
            if (name.Length is 0 or > 64 || name[0] == '.' || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-')))
                throw new ContractException("manifest.files", "names a file that is not a plain name");
            if (file is null || file.Bytes < 0 || file.Sha256 is not { Length: 64 })
                throw new ContractException($"manifest.files.{name}", "has no size or hash");
        }
        return manifest;
    }

    private static void RequirePresent(object? value, string field)
    {
        if (value is null)
            throw new ContractException($"manifest.{field}", "is null");
    }

    /// <summary>True when this version has learned from the entry of that stream.</summary>
    public bool Covers(string streamKey, StreamId entry) =>
        Position.TryGetValue(streamKey, out var last) && StreamId.Parse(last) >= entry;
}
