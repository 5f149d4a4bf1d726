namespace KdServing.Contracts;

/// <summary>What a record's sequence says: apply it, or it has been applied before.</summary>
public enum SequenceVerdict
{
    Next,

    /// <summary>Records before it are missing; the count is added to <see cref="ProducerSequences.Missing"/>.</summary>
    AfterGap,

    Repeat,
}

/// <summary>Last sequence of every producer of one stream: finds repeats and gaps exactly. Part of the checkpoint; one thread.</summary>
public sealed class ProducerSequences
{
    // A producer that writes so many unreadable records in a row is broken otherwise; what is beyond counts as missing.
    private const int MaxDead = 10_000;

    private readonly Dictionary<string, ProducerState> producers = [];

    /// <summary>What is known of one producer.</summary>
    /// <param name="Sequence">Of its newest valid record.</param>
    /// <param name="EventTimeMs">Of its newest valid record.</param>
    /// <param name="SeenAtMs">The stream's clock at its newest entry.</param>
    /// <param name="Dead">Sequences above <paramref name="Sequence"/> that arrived and could not be learned from; null: none.</param>
    public sealed record ProducerState(ulong Sequence, long EventTimeMs, long SeenAtMs = 0, IReadOnlyList<ulong>? Dead = null);

    public IReadOnlyDictionary<string, ProducerState> Producers => producers;

    /// <summary>Records that never arrived: holes in the sequences.</summary>
    public long Missing { get; private set; }

    /// <summary>Records that arrived again and were not applied.</summary>
    public long Repeats { get; private set; }

    /// <summary>Notes a record. A stream keeps the order of its producers, so an older sequence is a repeat.</summary>
    /// <param name="seenAtMs">The stream's clock: milliseconds of the entry's id.</param>
    public SequenceVerdict Observe(TeacherRecord record, long seenAtMs = 0) => Observe(record.ProducerId, record.Sequence, record.EventTimeMs, seenAtMs);

    /// <inheritdoc cref="Observe(TeacherRecord, long)"/>
    public SequenceVerdict Observe(string producer, ulong sequence, long eventTimeMs, long seenAtMs)
    {
        var before = producers.GetValueOrDefault(producer);
        var last = before?.Sequence ?? 0;
        if (sequence <= last)
        {
            Repeats++;
            return SequenceVerdict.Repeat;
        }
        var dead = before?.Dead?.Where(d => d > sequence).ToList();
        var missing = (long)(sequence - last - 1) - (before?.Dead?.Count(d => d < sequence) ?? 0);
        Missing += missing;
        producers[producer] = new(sequence, eventTimeMs, seenAtMs, dead is { Count: > 0 } ? dead : null);
        return missing == 0 ? SequenceVerdict.Next : SequenceVerdict.AfterGap;
    }

    /// <summary>
    /// Notes an entry that arrived but can not be learned from, so that it does not count as missing. It does not move the sequence: its
    /// number may be as wrong as the rest of it, and a number from nowhere must not make repeats of all that follow.
    /// </summary>
    public void ObserveDead(string producer, ulong sequence, long seenAtMs)
    {
        var before = producers.GetValueOrDefault(producer) ?? new(0, 0);
        var dead = before.Dead ?? [];
        if (sequence > before.Sequence && dead.Count < MaxDead && !dead.Contains(sequence))
            producers[producer] = before with { SeenAtMs = seenAtMs, Dead = [.. dead, sequence] };
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
