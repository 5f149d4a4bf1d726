using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Records of the stream by what became of them, since the model began.</summary>
public sealed record StreamCounters
{
    /// <summary>When the first entry was written, milliseconds of the Redis server's clock; 0: none yet.</summary>
    public long FirstEntryMs { get; init; }

    /// <summary>Stream entries gone past: all of the below, and repeats.</summary>
    public long Examined { get; init; }

    /// <summary>Valid records, repeats not counted: learned or held out.</summary>
    public long Consumed { get; init; }

    public long HeldOut { get; init; }

    public long DeadLettered { get; init; }

    public long Learned => Consumed - HeldOut;
}

/// <summary><c>checkpoint.json</c>: where the stream stands and what the tensor files beside it must be.</summary>
public sealed record CheckpointManifest
{
    public const string FileName = "checkpoint.json";
    public const int CurrentFormat = 1;

    public required int Format { get; init; }

    public required string Model { get; init; }

    public required string SchemaFingerprint { get; init; }

    public required long CreatedAtMs { get; init; }

    /// <summary>Stream key → id of the last entry whose effect is in here.</summary>
    public required IReadOnlyDictionary<string, string> Position { get; init; }

    public required IReadOnlyDictionary<string, ProducerSequences.ProducerState> Producers { get; init; }

    public required long Missing { get; init; }

    public required long Repeats { get; init; }

    public required StreamCounters Counters { get; init; }

    public required IReadOnlyDictionary<string, long> TeacherVersions { get; init; }

    /// <summary>Version scored as <c>student_frozen</c>; 0: none yet.</summary>
    public required long FrozenVersion { get; init; }

    public required IReadOnlyDictionary<string, VersionFile> Files { get; init; }

    /// <exception cref="ContractException">Not a checkpoint of this format.</exception>
    public static CheckpointManifest Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            var manifest = JsonSerializer.Deserialize<CheckpointManifest>(json, ContractJson.Options);
            return manifest is { Format: CurrentFormat }
                ? manifest
                : throw new ContractException(FileName, $"has format {manifest?.Format}; this build reads {CurrentFormat}");
        }
        catch (JsonException e)
        {
            throw new ContractException(FileName, $"is not valid: {e.Message}");
        }
    }
}
