namespace KdServing.Serving.Accelerators;

/// <summary>The rows of a store of item vectors once more, in a device's memory. One thread writes; any number read.</summary>
/// <param name="rowBytes">From one row to the next, as on the host.</param>
/// <param name="chunkRows">Rows that are allocated together.</param>
internal sealed unsafe class DeviceVectors(Accelerator accelerator, int rowBytes, int chunkRows) : IDisposable
{
    private readonly DeviceMemory staging = new(accelerator, isOnHost: true);
    private readonly DeviceMemory coldStart = new(accelerator);
    private readonly List<DeviceMemory> memory = [];
    private readonly nint stream = accelerator.NewStream();
    private nint[] chunks = [];

    /// <summary>Why there are no rows any more; null while there are.</summary>
    public string? Failure { get; private set; }

    /// <summary>Row for unknown items.</summary>
    public nint ColdStart => coldStart.Address;

    /// <summary>Addresses of the chunks.</summary>
    public nint[] Chunks => Volatile.Read(ref chunks);

    /// <summary>Device memory, bytes.</summary>
    public long Bytes => (long)Chunks.Length * chunkRows * rowBytes;

    /// <summary>Makes room for so many chunks; before a row in them is written.</summary>
    public void Reserve(int count) => Try(() =>
    {
        while (memory.Count < count)
        {
            memory.Add(new(accelerator));
            memory[^1].Reserve((long)chunkRows * rowBytes);
        }
        if (coldStart.Reserve(rowBytes))
            accelerator.Clear(coldStart.Address, rowBytes, stream);
        Volatile.Write(ref chunks, [.. memory.Select(m => m.Address)]);
    });

    /// <summary>Copies rows; they are there when it returns. Neighbours go in one copy.</summary>
    /// <param name="slots">Their numbers.</param>
    /// <param name="row">Where a slot's row is on the host.</param>
    public void Write(ReadOnlySpan<int> slots, Func<int, nint> row)
    {
        if (Failure is not null || slots.IsEmpty)
            return;
        try
        {
            staging.Reserve((long)slots.Length * rowBytes);
            for (var first = 0; first < slots.Length;)
            {
                var count = 1;
                while (first + count < slots.Length && slots[first + count] == slots[first] + count && slots[first + count] % chunkRows != 0)
                    count++;
                var from = staging.Address + (nint)first * rowBytes;
                for (var i = 0; i < count; i++)
                    new ReadOnlySpan<byte>((void*)row(slots[first + i]), rowBytes).CopyTo(new Span<byte>((void*)(from + (nint)i * rowBytes), rowBytes));
                accelerator.Copy(chunks[slots[first] / chunkRows] + (nint)(slots[first] % chunkRows) * rowBytes, from, (long)count * rowBytes, stream);
                first += count;
            }
            accelerator.Synchronize(stream);
        }
        catch (AcceleratorException e)
        {
            Failure = e.Message;
        }
    }

    /// <summary>Copies the row for unknown items.</summary>
    public void WriteColdStart(nint row) => Try(() =>
    {
        coldStart.Reserve(rowBytes);
        staging.Reserve(rowBytes);
        new ReadOnlySpan<byte>((void*)row, rowBytes).CopyTo(new Span<byte>((void*)staging.Address, rowBytes));
        accelerator.Copy(coldStart.Address, staging.Address, rowBytes, stream);
        accelerator.Synchronize(stream);
    });

    public void Dispose()
    {
        foreach (var chunk in memory)
            chunk.Dispose();
        coldStart.Dispose();
        staging.Dispose();
        accelerator.FreeStream(stream);
    }

    private void Try(Action step)
    {
        if (Failure is not null)
            return;
        try
        {
            step();
        }
        catch (AcceleratorException e)
        {
            Failure = e.Message;
        }
    }
}
