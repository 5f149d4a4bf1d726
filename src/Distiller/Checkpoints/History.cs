using System.Text;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>One decision that was applied, with the entries of its batch as they were written.</summary>
/// <param name="Entries">Empty unless the decision is a batch.</param>
public sealed record AppliedDecision(long Sequence, JournalEntry Entry, IReadOnlyList<SourcedEntry> Entries);

/// <summary>What was applied since the last checkpoint, to lie beside the next one: from a checkpoint and these, <c>kd replay</c> rebuilds a version.</summary>
/// <remarks>
/// Held in memory between two checkpoints. When a disk that refuses checkpoints makes it grow beyond its bound it is given up: a replay across
/// that gap is refused, training is not.
/// </remarks>
public sealed class History(long maxBytes)
{
    public const string FileName = "history.bin";

    private static readonly JsonSerializerOptions Json = new(ContractJson.Options) { WriteIndented = false };

    private List<AppliedDecision> applied = [];
    private long bytes;

    /// <summary>Notes a decision that takes effect.</summary>
    public void Add(long sequence, JournalEntry entry, IReadOnlyList<SourcedEntry> entries)
    {
        bytes += 200 + entries.Sum(e => (long)e.Entry.Raw.Length);
        if (bytes > maxBytes)
            applied.Clear();
        else
            applied.Add(new(sequence, entry, entries));
    }

    /// <summary>Takes what was noted; the returned writer may run on another thread.</summary>
    public Action<Stream> Take()
    {
        var taken = applied;
        (applied, bytes) = ([], 0);
        return stream => Write(stream, taken);
    }

    /// <summary>Reads a file that <see cref="Take"/> wrote.</summary>
    /// <param name="sources">The model's streams, as when it was written.</param>
    /// <exception cref="ContractException">The file is damaged, or names a stream that is not among these.</exception>
    public static IReadOnlyList<AppliedDecision> Read(string path, IReadOnlyList<LogitStreamReader> sources)
    {
        try
        {
            using var reader = new BinaryReader(File.OpenRead(path), Encoding.UTF8);
            var read = new AppliedDecision[reader.ReadInt32()];
            for (var d = 0; d < read.Length; d++)
            {
                var sequence = reader.ReadInt64();
                var entry = JsonSerializer.Deserialize<JournalEntry>(reader.ReadString(), Json)!;
                var entries = new SourcedEntry[reader.ReadInt32()];
                for (var e = 0; e < entries.Length; e++)
                    entries[e] = ReadEntry(reader, sources);
                read[d] = new(sequence, entry, entries);
            }
            return read;
        }
        catch (Exception e) when (e is EndOfStreamException or JsonException or ArgumentOutOfRangeException)
        {
            throw new ContractException(FileName, $"{path} does not fit ({e.Message}); were \"shards\" or \"labels\" changed?");
        }
    }

    private static void Write(Stream stream, List<AppliedDecision> applied)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(applied.Count);
        foreach (var (sequence, entry, entries) in applied)
        {
            writer.Write(sequence);
            writer.Write(JsonSerializer.Serialize(entry, Json));
            writer.Write(entries.Count);
            foreach (var (source, read) in entries)
            {
                writer.Write(source);
                writer.Write(read.Id.Ms);
                writer.Write(read.Id.Number);
                // What was wrong with an entry may lie outside of its record.
                writer.Write(read.Fault is not null);
                writer.Write(read.Origin?.Producer ?? "");
                writer.Write(read.Origin?.Sequence ?? 0);
                writer.Write(read.Raw.Length);
                writer.Write(read.Raw.Span);
            }
        }
    }

    private static SourcedEntry ReadEntry(BinaryReader reader, IReadOnlyList<LogitStreamReader> sources)
    {
        var source = reader.ReadInt32();
        var id = new StreamId(reader.ReadInt64(), reader.ReadInt64());
        var isFaulty = reader.ReadBoolean();
        var (producer, sequence) = (reader.ReadString(), reader.ReadUInt64());
        var record = reader.ReadBytes(reader.ReadInt32());
        return new(source, isFaulty
            ? new(id, null, new ContractException("r", "was dead-lettered")) { Raw = record, Origin = producer.Length == 0 ? null : (producer, sequence) }
            : sources[source].Parse(id, record));
    }
}
