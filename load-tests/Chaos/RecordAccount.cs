using System.Globalization;
using System.Text;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>What became of every record, from accounts that the Distiller does not keep: the producer's, Redis' file, the checkpoint's position.</summary>
internal sealed class RecordAccount
{
    private readonly SortedDictionary<ulong, List<StreamId>> sound = [];
    private readonly Dictionary<StreamId, long> poison = [];
    private readonly Dictionary<StreamId, int> order = [];

    /// <param name="entries">The logit stream's entries, oldest first.</param>
    public RecordAccount(IEnumerable<AofEntry> entries)
    {
        foreach (var entry in entries)
        {
            order[entry.Id] = order.Count;
            if (entry[ChaosProducer.PoisonField] is { } number)
                poison[entry.Id] = long.Parse(Encoding.UTF8.GetString(number), CultureInfo.InvariantCulture);
            else
                Ids(Record(entry).Sequence).Add(entry.Id);
        }
    }

    /// <summary>Entries in the stream: records, repeats and poison.</summary>
    public int Entries => order.Count;

    /// <summary>Records that Redis holds, repeats not counted.</summary>
    public int Records => sound.Count;

    /// <summary>Entries that repeat a record because a reply was lost.</summary>
    public int Repeats => sound.Values.Sum(ids => ids.Count - 1);

    /// <summary>Acknowledged sequences that the file does not hold.</summary>
    public long MissingInRedis(long acknowledged)
    {
        var missing = 0L;
        for (var sequence = 1UL; sequence <= (ulong)acknowledged; sequence++)
            missing += sound.ContainsKey(sequence) ? 0 : 1;
        return missing;
    }

    /// <summary>Poison numbers of which an entry is in the dead-letter stream.</summary>
    /// <param name="deadLetters">Ids of the entries that dead letters speak of.</param>
    public int DeadLettered(IEnumerable<StreamId> deadLetters) =>
        deadLetters.Where(poison.ContainsKey).Select(id => poison[id]).Distinct().Count();

    /// <summary>Sound records that were dead-lettered: each is a loss.</summary>
    public int SoundDeadLettered(IEnumerable<StreamId> deadLetters) => deadLetters.Count(id => order.ContainsKey(id) && !poison.ContainsKey(id));

    /// <summary>How often each record is applied by a sequence of batches, once its repeats are skipped.</summary>
    /// <param name="ranges">Batches whose effect is in the weights: after the first id, up to the second one.</param>
    /// <returns>Records applied at least once, and records applied more than once.</returns>
    public (long Applied, long Twice) Applied(IEnumerable<(StreamId After, StreamId To)> ranges)
    {
        var times = new int[order.Count + 1];
        var ids = order.Keys.ToArray();
        foreach (var (after, to) in ranges)
        {
            // +1 from the first entry after 'after', -1 past 'to'.
            times[Upper(ids, after)]++;
            times[Upper(ids, to)]--;
        }
        for (var i = 1; i < times.Length; i++)
            times[i] += times[i - 1];
        long applied = 0, twice = 0;
        foreach (var entries in sound.Values)
        {
            // The first entry of a record counts, its repeats are skipped; every pass over the first one is an application.
            var passes = times[order[entries[0]]];
            applied += passes > 0 ? 1 : 0;
            twice += passes > 1 ? 1 : 0;
        }
        return (applied, twice);
    }

    private List<StreamId> Ids(ulong sequence)
    {
        if (!sound.TryGetValue(sequence, out var ids))
            sound[sequence] = ids = [];
        return ids;
    }

    private static TeacherRecord Record(AofEntry entry) => TeacherRecord.Parser.ParseFrom(entry[(string)LogitEntry.RecordField!]);

    // Index of the first id above a position: ids come in ascending order.
    private static int Upper(StreamId[] ids, StreamId position)
    {
        var (low, high) = (0, ids.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (ids[middle] <= position)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}
