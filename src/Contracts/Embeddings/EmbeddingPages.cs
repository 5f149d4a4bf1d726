using System.Numerics;
using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Pages of one size in native memory, shared by a table and the tables that forked from it; each page counts the tables that read it.</summary>
/// <remarks>
/// Thread-safe. Pages lie in slabs of up to 2 MiB, on huge pages where the kernel gives them: rows are read from anywhere in a table, and with pages of
/// 4 KiB nearly every one costs a walk of the page table. A page that nobody reads any more is the next one handed out: what versions of a refresh
/// copy is the same memory again and again, and the allocator is not asked. A slab goes back when none of its pages is read and less than two thirds
/// of all pages are; all go back with the last table.
/// </remarks>
internal sealed unsafe class EmbeddingPages
{
    private const int SlabBytes = 2 << 20;

    private readonly Lock gate = new();
    private readonly int pageFloats;
    private readonly int slabShift;
    private readonly int slabMask;
    private volatile Slab[] slabs = [];
    private int[] free = [];
    private int freeCount;
    private int pageCount;
    private int emptySlabs;
    private int tables;

    /// <param name="pageFloats">Floats a page.</param>
    /// <param name="expected">Pages of one table: a small one does not take a slab of 2 MiB.</param>
    public EmbeddingPages(int pageFloats, int expected)
    {
        this.pageFloats = pageFloats;
        var most = Math.Max(1, SlabBytes / (pageFloats * sizeof(float)));
        slabShift = BitOperations.Log2((uint)Math.Min(most, BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, expected))));
        slabMask = (1 << slabShift) - 1;
    }

    /// <summary>Floats a page.</summary>
    public int PageFloats => pageFloats;

    /// <summary>Memory of all slabs.</summary>
    public long Bytes => (long)Volatile.Read(ref pageCount) * pageFloats * sizeof(float);

    public float* Address(int page) => slabs[page >> slabShift].Data + (long)(page & slabMask) * pageFloats;

    /// <summary>More than one table reads this page: it must be copied before it is written.</summary>
    public bool IsShared(int page) => Volatile.Read(ref Owners(page)) > 1;

    /// <summary>Pages with one owner and whatever they held last.</summary>
    public void Take(Span<int> pages)
    {
        lock (gate)
        {
            while (freeCount < pages.Length)
                AddSlab();
            foreach (ref var page in pages)
            {
                page = free[--freeCount];
                Owners(page) = 1;
                if (slabs[page >> slabShift].Used++ == 0)
                    emptySlabs--;
            }
        }
    }

    /// <summary>A copy for one of the owners of a shared page, who gives the shared one back.</summary>
    /// <param name="keepsRows">False: every row will be written, whatever the page holds.</param>
    public int Unshare(int page, bool keepsRows)
    {
        var own = 0;
        Take(new(ref own));
        if (keepsRows)
            new ReadOnlySpan<float>(Address(page), pageFloats).CopyTo(new(Address(own), pageFloats));
        Release([page]);
        return own;
    }

    /// <summary>Another table reads these too.</summary>
    public void Share(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages)
            Interlocked.Increment(ref Owners(page));
    }

    /// <summary>A table reads these no more.</summary>
    public void Release(ReadOnlySpan<int> pages)
    {
        foreach (var page in pages)
        {
            if (Interlocked.Decrement(ref Owners(page)) > 0)
                continue;
            lock (gate)
            {
                free[freeCount++] = page;
                if (--slabs[page >> slabShift].Used == 0)
                    emptySlabs++;
            }
        }
        lock (gate)
        {
            // A version that changed all rows left as many pages as it took; those of a delta are wanted again soon.
            if (emptySlabs > 0 && freeCount > pageCount / 3)
                ReturnEmptySlabs();
        }
    }

    /// <summary>A table has pages of these.</summary>
    public void Attach() => Interlocked.Increment(ref tables);

    /// <summary>A table has released all of its pages; the last one frees the memory.</summary>
    public void Detach()
    {
        if (Interlocked.Decrement(ref tables) > 0)
            return;
        foreach (var slab in slabs)
            NativeMemory.AlignedFree(slab.Data);
        slabs = [];
    }

    private ref int Owners(int page) => ref slabs[page >> slabShift].Owners[page & slabMask];

    // Under the gate.
    private void AddSlab()
    {
        var pages = 1 << slabShift;
        var slab = new Slab((float*)HugePages.Allocate((nuint)pages * (nuint)pageFloats * sizeof(float)), new int[pages]);
        var place = Array.FindIndex(slabs, s => s.Data is null);
        if (place < 0)
            (place, slabs) = (slabs.Length, [.. slabs, slab]);
        else
            slabs[place] = slab;
        pageCount += pages;
        emptySlabs++;
        // Room for every page there is, so that giving back never allocates; ascending pages are handed out first.
        Array.Resize(ref free, Math.Max(free.Length, pageCount));
        for (var page = pages - 1; page >= 0; page--)
            free[freeCount++] = (place << slabShift) + page;
    }

    // Under the gate. Nobody has an address within a slab of whose pages none is read.
    private void ReturnEmptySlabs()
    {
        foreach (ref var slab in slabs.AsSpan())
        {
            if (slab.Data is null || slab.Used > 0)
                continue;
            NativeMemory.AlignedFree(slab.Data);
            slab = Slab.Returned;
            pageCount -= 1 << slabShift;
        }
        emptySlabs = 0;
        var kept = 0;
        foreach (var page in free.AsSpan(0, freeCount))
        {
            if (slabs[page >> slabShift].Data is not null)
                free[kept++] = page;
        }
        freeCount = kept;
    }

    private sealed class Slab(float* data, int[] owners)
    {
        /// <summary>In the place of a slab that went back: pages are known by where their slab stands.</summary>
        public static readonly Slab Returned = new(null, []);

        public float* Data { get; } = data;

        public int[] Owners { get; } = owners;

        /// <summary>Pages that are read.</summary>
        public int Used { get; set; }
    }
}
