using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.LoadTests.Chaos;

/// <summary>Which records are lost after primaries died with entries that their replicas did not have.</summary>
/// <remarks>
/// An entry that a server wrote while its replica followed, and that is not in the replica's file, went with that server. Whether the Distiller had read it
/// is told by the batch in whose range it lies: the batch names how many entries it has. Those that survived are in it; what is
/// missing to the number are the first of those that did not, for a stream is read in order.
/// </remarks>
internal sealed class FailoverAccount
{
    private readonly HashSet<ulong> applied = [];

    /// <param name="files">Of each server, in the order in which they were primaries.</param>
    /// <param name="batches">Whose effect is in the weights.</param>
    public FailoverAccount(IReadOnlyList<IReadOnlyList<AofEntry>> files, string streamKey, IReadOnlyList<StreamRange> batches)
    {
        var gone = new HashSet<StreamId>();
        for (var k = 1; k < files.Count; k++)
        {
            var kept = files[k].Where(e => e.Key == streamKey).Select(e => e.Id).ToHashSet();
            if (kept.Count > 0)
                gone.UnionWith(files[k - 1].Where(e => e.Key == streamKey && e.Id > kept.Min() && !kept.Contains(e.Id)).Select(e => e.Id));
        }
        NotReplicated = gone.Count;
        var entries = files.SelectMany(f => f).Where(e => e.Key == streamKey).DistinctBy(e => e.Id).OrderBy(e => e.Id).ToList();
        var examined = new HashSet<StreamId>();
        foreach (var batch in batches)
        {
            var (after, last) = (StreamId.Parse(batch.After), StreamId.Parse(batch.Last));
            var range = entries.Where(e => e.Id > after && e.Id <= last).ToLookup(e => gone.Contains(e.Id));
            var (survivors, others) = (range[false].ToList(), range[true].Take(Math.Max(0, batch.Count - range[false].Count())).ToList());
            Unexplained += Math.Abs(batch.Count - survivors.Count - others.Count);
            foreach (var entry in survivors.Concat(others))
            {
                Twice += examined.Add(entry.Id) ? 0 : 1;
                applied.Add(TeacherRecord.Parser.ParseFrom(entry[(string)LogitEntry.RecordField!]).Sequence);
            }
        }
    }

    /// <summary>Entries that went with their server, read or not.</summary>
    public int NotReplicated { get; }

    /// <summary>Entries in more than one batch.</summary>
    public int Twice { get; private set; }

    /// <summary>Entries by which the files and the batches differ.</summary>
    public int Unexplained { get; private set; }

    /// <summary>Records acknowledged to the producer and in no batch.</summary>
    /// <param name="acknowledged">Sequences 1 to this.</param>
    public long Lost(long acknowledged) => Enumerable.Range(1, (int)acknowledged).LongCount(s => !applied.Contains((ulong)s));
}
