namespace KdServing.Serving.Catalog;

/// <summary>Which slots hold an item, and which are free. A slot is written once and then read until it is taken out: an item that changes
/// moves to another slot. The writer only.</summary>
internal sealed class ItemSlots(ReaderEpochs epochs)
{
    private readonly Stack<int> free = [];
    private readonly Queue<(int Slot, int Epoch)> leaving = [];
    private long[] ids = new long[1024];
    private bool[] live = new bool[1024];

    /// <summary>Slots ever used; all numbers are below it.</summary>
    public int End { get; private set; }

    /// <summary>Slots that hold an item.</summary>
    public int Live { get; private set; }

    /// <summary>Slots taken out that somebody may still read.</summary>
    public int Leaving => leaving.Count;

    public bool IsLive(int slot) => live[slot];

    public long IdOf(int slot) => ids[slot];

    /// <summary>A slot nobody reads.</summary>
    public int Take(long id)
    {
        if (free.Count == 0)
            Reclaim();
        if (!free.TryPop(out var slot))
        {
            slot = End++;
            if (slot == ids.Length)
            {
                Array.Resize(ref ids, checked(slot * 2));
                Array.Resize(ref live, ids.Length);
            }
        }
        (ids[slot], live[slot]) = (id, true);
        Live++;
        return slot;
    }

    /// <summary>Gives back a slot the index no longer names.</summary>
    public void Release(int slot)
    {
        live[slot] = false;
        Live--;
        leaving.Enqueue((slot, epochs.Current));
    }

    /// <summary>Frees what no reader can hold any more.</summary>
    public void Reclaim()
    {
        for (var step = 0; step < 2 && leaving.Count > 0 && epochs.TryAdvance(); step++)
        {
            while (leaving.TryPeek(out var oldest) && epochs.Current - oldest.Epoch >= 2)
                free.Push(leaving.Dequeue().Slot);
        }
    }
}
