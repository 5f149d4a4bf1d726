namespace KdServing.Contracts;

/// <summary>What a record's sequence says: apply it, or it has been applied before.</summary>
public enum SequenceVerdict
{
    Next,

    /// <summary>Records before it are missing; the count is added to <see cref="ProducerSequences.Missing"/>.</summary>
    AfterGap,

    Repeat,
}

/// <summary>Last sequence of every producer: finds repeats and gaps exactly. Part of the checkpoint; one thread.</summary>
public sealed class ProducerSequences
{
    private readonly Dictionary<string, ProducerState> producers = [];

    /// <summary>Sequence and newest event time of one producer.</summary>
    public sealed record ProducerState(ulong Sequence, long EventTimeMs);

    public IReadOnlyDictionary<string, ProducerState> Producers => producers;

    /// <summary>Records that never arrived: holes in the sequences.</summary>
    public long Missing { get; private set; }

    /// <summary>Records that arrived again and were not applied.</summary>
    public long Repeats { get; private set; }

    /// <summary>Notes a record. A stream keeps the order of its producers, so an older sequence is a repeat.</summary>
    public SequenceVerdict Observe(TeacherRecord record)
    {
        var last = producers.GetValueOrDefault(record.ProducerId)?.Sequence ?? 0;
        if (record.Sequence <= last)
        {
            Repeats++;
            return SequenceVerdict.Repeat;
        }
        var missing = (long)(record.Sequence - last - 1);
        Missing += missing;
        producers[record.ProducerId] = new(record.Sequence, record.EventTimeMs);
        return missing == 0 ? SequenceVerdict.Next : SequenceVerdict.AfterGap;
    }

    /// <summary>Continues from a checkpoint.</summary>
    public void Restore(IReadOnlyDictionary<string, ProducerState> state, long missing, long repeats)
    {
        producers.Clear();
        foreach (var (id, producer) in state)
            producers[id] = producer;
        (Missing, Repeats) = (missing, repeats);
    }
}
