using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary>The last impressions held out from training, kept as records so that candidate and incumbent score the same ones. One thread.</summary>
/// <param name="capacity">Impressions kept (W).</param>
public sealed class GateSet(int capacity)
{
    private const ulong HeldOutShare = 64;

    private readonly Queue<TeacherRecord> records = new(capacity);

    /// <summary>Oldest first.</summary>
    public IReadOnlyCollection<TeacherRecord> Records => records;

    /// <summary>True for one request id in 64, always the same ones: such a record is never learned.</summary>
    public static bool IsHeldOut(string requestId) =>
        FeatureHash.Mix((ulong)FeatureHash.StringId(requestId)) % HeldOutShare == 0;

    public void Add(TeacherRecord record)
    {
        if (records.Count == capacity)
            records.Dequeue();
        records.Enqueue(record);
    }

    /// <summary>Writes records, for the checkpoint. Any thread.</summary>
    public static void Save(IReadOnlyCollection<TeacherRecord> records, Stream stream)
    {
        foreach (var record in records)
            record.WriteDelimitedTo(stream);
    }

    /// <summary>Reads what <see cref="Save"/> wrote, up to the end of the stream.</summary>
    /// <exception cref="InvalidProtocolBufferException">The stream is damaged.</exception>
    public void Restore(Stream stream)
    {
        records.Clear();
        while (stream.Position < stream.Length)
            Add(TeacherRecord.Parser.ParseDelimitedFrom(stream));
    }
}
