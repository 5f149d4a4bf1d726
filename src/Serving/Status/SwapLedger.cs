namespace KdServing.Serving.Status;

/// <summary>The last swaps and refusals, oldest first. Any thread.</summary>
public sealed class SwapLedger
{
    private const int Kept = 200;
    private readonly List<(long Number, SwapEntry Entry)> entries = [];
    private readonly Lock gate = new();
    private long next;

    /// <summary>Versions put into service since the start.</summary>
    public long Served { get; private set; }

    /// <summary>Begins an entry; later states of it are written under the number returned.</summary>
    public long Begin(SwapEntry entry)
    {
        lock (gate)
        {
            entries.Add((next, entry));
            if (entries.Count > Kept)
                entries.RemoveAt(0);
            return next++;
        }
    }

    /// <summary>Changes an entry; one that has left the ledger is left alone.</summary>
    public void Update(long number, Func<SwapEntry, SwapEntry> change)
    {
        lock (gate)
        {
            var i = entries.FindIndex(e => e.Number == number);
            if (i < 0)
                return;
            var changed = change(entries[i].Entry);
            if (entries[i].Entry.SwappedMs is null && changed.SwappedMs is not null)
                Served++;
            entries[i] = (number, changed);
        }
    }

    public IReadOnlyList<SwapEntry> Entries()
    {
        lock (gate)
            return [.. entries.Select(e => e.Entry)];
    }
}
