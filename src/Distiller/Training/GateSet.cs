using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>Impressions that are never learned: one in 64 by the hash of the request id; the last W are kept.</summary>
/// <remarks>Membership depends on the request alone, so a record that is read again after a crash lands on the same side.</remarks>
public sealed class GateSet(int window)
{
    private const ulong Share = 64;

    private readonly Queue<TeacherRecord> records = new();

    public int Count => records.Count;

    public static bool Holds(TeacherRecord record) => FeatureHash.Mix((ulong)FeatureHash.StringId(record.RequestId)) % Share == 0;

    public void Add(TeacherRecord record)
    {
        records.Enqueue(record);
        if (records.Count > window)
            records.Dequeue();
    }

    /// <summary>The records of now, oldest first; a copy that another thread may read.</summary>
    public TeacherRecord[] Take() => [.. records];
}
