using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Catalog;

/// <summary>
/// One item vector a slot for one version, in native memory, with a stamp a slot that says whether it is there. The catalog's thread
/// writes, any number of requests read; passed on to a later version when its own is gone.
/// </summary>
/// <remarks>
/// Rows begin at multiples of 64 bytes, in chunks of huge pages where the kernel gives them: a request reads a thousand rows anywhere in
/// half a gigabyte, and with 4 KiB pages each costs a page walk. A row is written before its stamp (release) and a slot's row never
/// changes while its item can be read, so rows are never torn. A stamp is the <see cref="Ordinal"/> of the version the row was encoded
/// for: a later version keeps rows that have not changed since.
/// </remarks>
internal sealed unsafe class ItemVectors : IDisposable
{
    private const int ChunkShift = 14;
    private const int ChunkSlots = 1 << ChunkShift;
    private const int RowAlignment = 64;

    private readonly int rowBytes;
    private nint[] chunks = [];
    private int[] stamps = [];
    private nint coldStart;
    private readonly DeviceVectors? device;
    private volatile bool complete;

    /// <param name="accelerator">Keeps the rows too; null: only the host does.</param>
    public ItemVectors(int width, ItemVectorFormat format, Accelerator? accelerator = null)
    {
        Width = width;
        Format = format;
        var bytes = width * (format == ItemVectorFormat.Float32 ? sizeof(float) : sizeof(ushort));
        rowBytes = (bytes + RowAlignment - 1) / RowAlignment * RowAlignment;
        coldStart = (nint)NativeMemory.AlignedAlloc((nuint)rowBytes, RowAlignment);
        NativeMemory.Clear((void*)coldStart, (nuint)rowBytes);
        device = accelerator is null ? null : new(accelerator, rowBytes, ChunkSlots);
    }

    ~ItemVectors() => Free();

    /// <summary>Floats a vector.</summary>
    public int Width { get; }

    public ItemVectorFormat Format { get; }

    /// <summary>Bytes from one row to the next.</summary>
    public int RowBytes => rowBytes;

    /// <summary>Which preparation it serves; rises with every version.</summary>
    public int Ordinal { get; private set; }

    /// <summary>Every published item has its row: stamps need not be looked at. Items that come later are encoded before they are published.</summary>
    public bool IsComplete
    {
        get => complete;
        set => complete = value;
    }

    /// <summary>Row for unknown items.</summary>
    public nint ColdStart => coldStart;

    /// <summary>Rows can be read on a device.</summary>
    public bool IsOnDevice => device is { Failure: null };

    /// <summary>Memory held on a device, bytes.</summary>
    public long DeviceBytes => device?.Bytes ?? 0;

    /// <summary>Native memory held, bytes.</summary>
    public long Bytes => (long)Volatile.Read(ref chunks).Length * ChunkSlots * rowBytes;

    /// <summary>Row addresses of a request's slots. Any thread.</summary>
    /// <param name="slots">[N]; -1 for unknown items, which get <see cref="ColdStart"/>.</param>
    /// <param name="addresses">Written, [N]; 0 where the row is not there yet.</param>
    /// <param name="onDevice">Addresses of a device's memory; <see cref="IsOnDevice"/>.</param>
    /// <returns>Rows not there yet.</returns>
    public int Resolve(ReadOnlySpan<int> slots, Span<nint> addresses, bool onDevice = false)
    {
        // Before the chunks: a store that is complete has every published slot's chunk.
        var all = complete;
        var marks = Volatile.Read(ref stamps);
        var rows = onDevice ? device!.Chunks : Volatile.Read(ref chunks);
        var unknown = onDevice ? device!.ColdStart : coldStart;
        var missing = 0;
        for (var n = 0; n < slots.Length; n++)
        {
            var slot = slots[n];
            if (slot < 0)
                addresses[n] = unknown;
            else if (all || (slot < marks.Length && Volatile.Read(ref marks[slot]) != 0))
                addresses[n] = rows[slot >> ChunkShift] + (nint)(slot & (ChunkSlots - 1)) * rowBytes;
            else
            {
                addresses[n] = 0;
                missing++;
            }
        }
        return missing;
    }

    public bool Has(int slot) => slot < stamps.Length && Volatile.Read(ref stamps[slot]) != 0;

    // The writer's part.

    /// <summary>Becomes the store of another version: rows whose stamp is older than their last change are forgotten.</summary>
    /// <param name="changedAt">Slot → ordinal of the last change of its item's vector; <see cref="int.MaxValue"/>: not in use.</param>
    public void Adopt(int ordinal, ReadOnlySpan<int> changedAt)
    {
        Ordinal = ordinal;
        complete = false;
        Reserve(changedAt.Length);
        for (var slot = 0; slot < stamps.Length; slot++)
        {
            if (slot >= changedAt.Length || stamps[slot] < changedAt[slot])
                stamps[slot] = 0;
        }
    }

    public void Reserve(int slots)
    {
        var needed = (slots + ChunkSlots - 1) >> ChunkShift;
        if (needed <= chunks.Length)
            return;
        var grownChunks = new nint[needed];
        chunks.CopyTo(grownChunks, 0);
        for (var c = chunks.Length; c < needed; c++)
            grownChunks[c] = HugePages.Allocate((nuint)ChunkSlots * (nuint)rowBytes);
        var grownStamps = new int[needed << ChunkShift];
        stamps.CopyTo(grownStamps, 0);
        device?.Reserve(needed);
        // Chunks first: who sees a stamp finds its row.
        Volatile.Write(ref chunks, grownChunks);
        Volatile.Write(ref stamps, grownStamps);
    }

    /// <summary>The slot is about to hold another item.</summary>
    public void Forget(int slot)
    {
        if (slot < stamps.Length)
            stamps[slot] = 0;
    }

    /// <summary>Writes rows and then says that they are there.</summary>
    /// <param name="vectors">[slots, width].</param>
    public void Write(ReadOnlySpan<int> slots, ReadOnlySpan<float> vectors)
    {
        for (var i = 0; i < slots.Length; i++)
            WriteRow(Row(slots[i]), vectors.Slice(i * Width, Width), Format);
        device?.Write(slots, Row);
        foreach (var slot in slots)
            Volatile.Write(ref stamps[slot], Ordinal);
    }

    /// <param name="vector">[width].</param>
    public void WriteColdStart(ReadOnlySpan<float> vector)
    {
        WriteRow(coldStart, vector, Format);
        device?.WriteColdStart(coldStart);
    }

    /// <summary>Adds a row to a sum in float32; [width].</summary>
    public void AddTo(int slot, Span<float> sum)
    {
        var row = Row(slot);
        for (var d = 0; d < Width; d++)
            sum[d] += Format == ItemVectorFormat.Float32 ? ((float*)row)[d] : BitConverter.UInt32BitsToSingle((uint)((ushort*)row)[d] << 16);
    }

    /// <summary>Writes a vector in a format; bfloat16 rounds to nearest, ties to even.</summary>
    public static void WriteRow(nint row, ReadOnlySpan<float> vector, ItemVectorFormat format)
    {
        if (format == ItemVectorFormat.Float32)
        {
            vector.CopyTo(new((float*)row, vector.Length));
            return;
        }
        var to = (ushort*)row;
        var d = 0;
        for (; d <= vector.Length - 2 * Vector256<uint>.Count; d += 2 * Vector256<uint>.Count)
        {
            var low = Round(Vector256.LoadUnsafe(in MemoryMarshal.GetReference(vector), (nuint)d).AsUInt32());
            var high = Round(Vector256.LoadUnsafe(in MemoryMarshal.GetReference(vector), (nuint)(d + Vector256<uint>.Count)).AsUInt32());
            Vector256.Narrow(low, high).Store(to + d);
        }
        for (; d < vector.Length; d++)
        {
            var bits = BitConverter.SingleToUInt32Bits(vector[d]);
            to[d] = (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    public void Dispose()
    {
        device?.Dispose();
        Free();
        GC.SuppressFinalize(this);
    }

    private nint Row(int slot) => chunks[slot >> ChunkShift] + (nint)(slot & (ChunkSlots - 1)) * rowBytes;

    private static Vector256<uint> Round(Vector256<uint> bits) =>
        (bits + Vector256.Create(0x7FFFu) + ((bits >>> 16) & Vector256<uint>.One)) >>> 16;

    private void Free()
    {
        foreach (var chunk in chunks)
            NativeMemory.AlignedFree((void*)chunk);
        NativeMemory.AlignedFree((void*)coldStart);
        (chunks, stamps, coldStart) = ([], [], 0);
    }
}
