using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using KdServing.Contracts;

namespace KdServing.Serving.Catalog;

/// <summary>Item id → slot: an open-addressing table that one thread writes while any number read. Lookups take no lock and allocate nothing.</summary>
/// <remarks>
/// Linear probing from <see cref="FeatureHash.Mix(ulong)"/>. An entry gets its id first and its slot afterwards (release), and is read the other
/// way round (acquire), so a reader sees both or neither. A removed id's entry is kept for that id alone until the table is built anew:
/// given to another id, a reader between the two reads would pair the new id with the old slot. A table that is full is replaced by a
/// larger copy; who still reads the old one sees the items of that moment.
/// </remarks>
internal sealed class ItemIndex
{
    /// <summary>Bytes of an entry.</summary>
    public const int EntryBytes = 16;

    private const int MinCapacity = 1024;
    // Entries ahead of the one probed: about the number of cache misses a core keeps in flight.
    private const int PrefetchDistance = 12;

    private Table table = new(MinCapacity);
    private int used;

    /// <summary>Items in it. The writer's figure.</summary>
    public int Count { get; private set; }

    /// <summary>Entries allocated.</summary>
    public int Capacity => Volatile.Read(ref table).Entries.Length;

    /// <summary>Looks up a request's ids. Any thread.</summary>
    /// <param name="slots">Written: the slot, or -1 for an id that is not there; [ids].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Find(ReadOnlySpan<long> ids, Span<int> slots)
    {
        var now = Volatile.Read(ref table);
        slots = slots[..ids.Length];
        // Where each look-up begins lies where its result will.
        Places(ids, now.Mask, slots);
        for (var n = 0; n < Math.Min(PrefetchDistance, slots.Length); n++)
            now.Prefetch(slots[n]);
        for (var n = 0; n < slots.Length; n++)
        {
            if (n + PrefetchDistance < slots.Length)
                now.Prefetch(slots[n + PrefetchDistance]);
            slots[n] = Find(now, ids[n], slots[n]);
        }
    }

    /// <summary>The slot of one id, -1 when it is not there. Any thread.</summary>
    public int Find(long id)
    {
        var now = Volatile.Read(ref table);
        return Find(now, id, Place(id, now.Mask));
    }

    /// <summary>Publishes an item under a slot whose row is complete. The writer only.</summary>
    /// <returns>The slot it had before, -1 when it is new.</returns>
    public int Set(long id, int slot)
    {
        ref var entry = ref Entry(id);
        var before = entry.SlotState - 1;
        if (entry.SlotState == 0)
        {
            if (2 * (used + 1) > table.Entries.Length)
            {
                Rebuild();
                entry = ref Entry(id);
            }
            used++;
            entry.Id = id;
        }
        Volatile.Write(ref entry.SlotState, slot + 1);
        if (before < 0)
            Count++;
        return Math.Max(-1, before);
    }

    /// <summary>Takes an item out. The writer only.</summary>
    /// <returns>The slot it had, -1 when it was not there.</returns>
    public int Remove(long id)
    {
        ref var entry = ref Entry(id);
        if (entry.SlotState <= 0)
            return -1;
        var slot = entry.SlotState - 1;
        Volatile.Write(ref entry.SlotState, Removed);
        Count--;
        return slot;
    }

    private const int Removed = -1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Find(Table table, long id, int place)
    {
        // By reference: a place is never outside its table.
        ref var first = ref MemoryMarshal.GetArrayDataReference(table.Entries);
        for (; ; place = (place + 1) & table.Mask)
        {
            ref var entry = ref Unsafe.Add(ref first, place);
            var state = Volatile.Read(ref entry.SlotState);
            if (state == 0)
                return -1;
            if (entry.Id == id)
                return Math.Max(-1, state - 1);
        }
    }

    // The entry of an id: its own, or the empty one where it would go.
    private ref IndexEntry Entry(long id)
    {
        var mask = table.Mask;
        for (var place = Place(id, mask); ; place = (place + 1) & mask)
        {
            ref var entry = ref table.Entries[place];
            if (entry.SlotState == 0 || entry.Id == id)
                return ref entry;
        }
    }

    // At most half full afterwards; without the removed ones.
    private void Rebuild()
    {
        var capacity = MinCapacity;
        while (capacity < 4L * (Count + 1))
            capacity = checked(capacity * 2);
        var next = new Table(capacity);
        foreach (var entry in table.Entries)
        {
            if (entry.SlotState <= 0)
                continue;
            var place = Place(entry.Id, capacity - 1);
            while (next.Entries[place].SlotState != 0)
                place = (place + 1) & (capacity - 1);
            next.Entries[place] = entry;
        }
        used = Count;
        Volatile.Write(ref table, next);
    }

    private static int Place(long id, int mask) => (int)FeatureHash.Mix((ulong)id) & mask;

    // Eight at a time, where the machine multiplies eight words of 64 bits at once.
    private static void Places(ReadOnlySpan<long> ids, int mask, Span<int> places)
    {
        var n = 0;
        if (Avx512DQ.IsSupported)
        {
            for (; n <= ids.Length - Vector512<ulong>.Count; n += Vector512<ulong>.Count)
            {
                var hash = FeatureHash.Mix(Vector512.LoadUnsafe(in MemoryMarshal.GetReference(ids), (nuint)n).AsUInt64());
                (Avx512F.ConvertToVector256Int32(hash) & Vector256.Create(mask)).StoreUnsafe(ref MemoryMarshal.GetReference(places), (nuint)n);
            }
        }
        for (; n < ids.Length; n++)
            places[n] = Place(ids[n], mask);
    }

    [StructLayout(LayoutKind.Sequential, Size = EntryBytes)]
    private struct IndexEntry
    {
        public long Id;

        /// <summary>0: empty; above: slot + 1; below: the id was removed.</summary>
        public int SlotState;
    }

    // Pinned, so that entries can be prefetched and lie in huge pages; on the managed heap, so that it lives as long as somebody reads it.
    private sealed unsafe class Table
    {
        private readonly nint address;

        public Table(int capacity)
        {
            Entries = GC.AllocateArray<IndexEntry>(capacity, pinned: true);
            Mask = capacity - 1;
            address = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(Entries));
            HugePages.Ask(address, (nuint)capacity * EntryBytes);
        }

        public IndexEntry[] Entries { get; }

        public int Mask { get; }

        public void Prefetch(int place)
        {
            if (Sse.IsSupported)
                Sse.Prefetch0((byte*)address + (long)place * EntryBytes);
        }
    }
}
