using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Records of the streams by what became of them, since the model began.</summary>
public sealed record StreamCounters
{
    /// <summary>When the first entry was written, milliseconds of the Redis server's clock; 0: none yet.</summary>
    public long FirstEntryMs { get; init; }

    /// <summary>Stream entries gone past: all of the below, repeats and labels.</summary>
    public long Examined { get; init; }

    /// <summary>Valid records, repeats not counted: learned or held out.</summary>
    public long Consumed { get; init; }

    public long HeldOut { get; init; }

    public long DeadLettered { get; init; }

    /// <summary>Journaled entries that the streams no longer held when they were to be learned again, given up on the operator's word.</summary>
    public long Lost { get; init; }

    public long Learned => Consumed - HeldOut;
}

/// <summary>How far one stream was worked through.</summary>
/// <param name="Position">Id of the last entry whose effect is in the checkpoint.</param>
/// <param name="Examined">Entries worked through.</param>
public sealed record StreamState(string Position, long Examined, long Missing, long Repeats,
    IReadOnlyDictionary<string, ProducerSequences.ProducerState> Producers);

/// <summary>What a checkpoint holds of the weights.</summary>
public enum CheckpointKind
{
    /// <summary>Nothing: the weights are those of the seed.</summary>
    Initial,

    /// <summary>Everything.</summary>
    Full,

    /// <summary>The dense part, and the rows that changed since the checkpoint before.</summary>
    Incremental,
}

/// <summary><c>checkpoint.json</c>: where the streams stand and what the files beside it must be.</summary>
public sealed record CheckpointManifest
{
    public const string FileName = "checkpoint.json";
    public const int CurrentFormat = 2;

    public required int Format { get; init; }

    public required string Model { get; init; }

    public required string SchemaFingerprint { get; init; }

    /// <summary>For people; nothing is decided by it.</summary>
    public required long CreatedAtMs { get; init; }

    public required CheckpointKind Kind { get; init; }

    /// <summary>The checkpoint whose rows this one changes; 0 unless incremental.</summary>
    public required long Previous { get; init; }

    /// <summary>Fencing epoch of the Distiller that wrote it.</summary>
    public required long Epoch { get; init; }

    /// <summary>The history this checkpoint is a moment of; see <see cref="Training.JournalEntry.Life"/>.</summary>
    public required string Life { get; init; }

    /// <summary>The last journal entry whose effect is in here.</summary>
    public required long JournalSequence { get; init; }

    /// <summary>Batches applied.</summary>
    public required long Batches { get; init; }

    /// <summary>Hash of what decides how a batch changes the weights; see <see cref="Training.TrainingConfiguration"/>.</summary>
    public required string Configuration { get; init; }

    /// <summary>Stream key → how far it was worked through.</summary>
    public required IReadOnlyDictionary<string, StreamState> Streams { get; init; }

    public required StreamCounters Counters { get; init; }

    public required IReadOnlyDictionary<string, long> TeacherVersions { get; init; }

    /// <summary>What the next version continues.</summary>
    public required PublicationState Publication { get; init; }

    /// <summary>Version scored as <c>student</c>; 0: none yet.</summary>
    public required long LiveVersion { get; init; }

    /// <summary>Version scored as <c>student_frozen</c>; 0: none yet.</summary>
    public required long FrozenVersion { get; init; }

    public required IReadOnlyDictionary<string, VersionFile> Files { get; init; }

    /// <exception cref="ContractException">Not a checkpoint of this format.</exception>
    public static CheckpointManifest Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            // The format first: another one's fields are none of ours.
            using (var document = JsonDocument.Parse(json.ToArray()))
            {
                var format = document.RootElement.TryGetProperty("format", out var value) && value.TryGetInt32(out var number) ? number : 0;
                if (format != CurrentFormat)
                    throw new ContractException(FileName, $"has format {format}; this build reads {CurrentFormat}");
            }
            return JsonSerializer.Deserialize<CheckpointManifest>(json, ContractJson.Options)!;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ContractException(FileName, $"is not valid: {e.Message}");
        }
    }
}
