using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Accelerators;

/// <summary>Room for one version in a device's memory: its tables and weights. Outlives the version: what is bound to the addresses stays bound.</summary>
/// <remarks>One thread writes, while no run reads.</remarks>
internal sealed unsafe class DeviceSlot : IDisposable
{
    private const long StagingBytes = 4 << 20;

    private readonly Accelerator accelerator;
    private readonly IReadOnlyList<TableArena> arenas;
    private readonly List<DeviceMemory> memory = [];
    private readonly DeviceMemory weights;
    private readonly List<(string Name, OrtValue Value)> values = [];

    /// <param name="number">Among the slots of a model.</param>
    /// <exception cref="AcceleratorException">There is not so much free memory.</exception>
    public DeviceSlot(Accelerator accelerator, DeviceGraph graph, int number)
    {
        this.accelerator = accelerator;
        arenas = graph.Arenas;
        Number = number;
        weights = new(accelerator);
        try
        {
            foreach (var arena in arenas)
            {
                memory.Add(new(accelerator));
                memory[^1].Reserve(arena.Bytes);
                values.Add((arena.Name, Tensor(TensorElementType.Float, [arena.Rows, arena.Width], memory[^1].Address, arena.Bytes)));
            }
            weights.Reserve(graph.Constants.Sum(c => Aligned(c.Raw.Length)));
            var address = weights.Address;
            foreach (var constant in graph.Constants)
            {
                values.Add((constant.Name, Tensor((TensorElementType)constant.ElementType, constant.Shape, address, constant.Raw.Length)));
                address += (nint)Aligned(constant.Raw.Length);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int Number { get; }

    /// <summary>Device memory, bytes.</summary>
    public long Bytes => memory.Sum(m => m.Bytes) + weights.Bytes;

    /// <summary>The graph's inputs that are a version's own.</summary>
    public IReadOnlyList<(string Name, OrtValue Value)> Values => values;

    /// <summary>Takes a version's weights and rows.</summary>
    /// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
    /// <param name="held">The slot and tables of a version that is on the device already: pages that both share are copied there, the others come from the host.</param>
    /// <param name="rest">Called between copies.</param>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public void Write(DeviceGraph graph, IReadOnlyList<EmbeddingTable> tables, (DeviceSlot Slot, IReadOnlyList<EmbeddingTable> Tables)? held, nint stream,
        DeviceMemory staging, Action rest)
    {
        staging.Reserve(Math.Max(StagingBytes, graph.Constants.Sum(c => Aligned(c.Raw.Length))));
        var end = staging.Address;
        foreach (var constant in graph.Constants)
        {
            constant.Raw.CopyTo(new Span<byte>((void*)end, constant.Raw.Length));
            end += (nint)Aligned(constant.Raw.Length);
        }
        accelerator.Copy(weights.Address, staging.Address, end - staging.Address, stream);
        for (var a = 0; a < arenas.Count; a++)
        {
            if (held is { } from)
                accelerator.Copy(memory[a].Address, from.Slot.memory[a].Address, arenas[a].Bytes, stream);
            foreach (var (table, firstRow) in arenas[a].FirstRows)
                WriteTable(tables[table], held?.Tables[table], memory[a].Address + (nint)firstRow * arenas[a].Width * sizeof(float), stream, staging, rest);
        }
        accelerator.Synchronize(stream);
    }

    public void Dispose()
    {
        foreach (var (_, value) in values)
            value.Dispose();
        values.Clear();
        foreach (var block in memory)
            block.Dispose();
        weights.Dispose();
    }

    // Neighbouring pages go in one copy, as many as the staging block holds.
    private void WriteTable(EmbeddingTable table, EmbeddingTable? held, nint to, nint stream, DeviceMemory staging, Action rest)
    {
        var rowBytes = (nint)table.Width * sizeof(float);
        var filled = (nint)staging.Bytes; // what lies there may still be on its way
        nint sent = 0;
        var firstRow = 0;
        var nextRow = -1;
        table.VisitPagesNotIn(held, (row, rows) =>
        {
            var bytes = rows.Length * sizeof(float);
            if (row != nextRow || filled + bytes > staging.Bytes)
            {
                Send();
                (firstRow, nextRow) = (row, row);
                if (filled + bytes > staging.Bytes)
                {
                    accelerator.Synchronize(stream);
                    rest();
                    (filled, sent) = (0, 0);
                }
            }
            System.Runtime.InteropServices.MemoryMarshal.AsBytes(rows).CopyTo(new Span<byte>((void*)(staging.Address + filled), bytes));
            filled += bytes;
            nextRow += rows.Length / table.Width;
        });
        Send();

        void Send()
        {
            if (nextRow > firstRow)
                accelerator.Copy(to + firstRow * rowBytes, staging.Address + sent, filled - sent, stream);
            sent = filled;
        }
    }

    private OrtValue Tensor(TensorElementType type, long[] shape, nint address, long bytes) =>
        OrtValue.CreateTensorValueWithData(accelerator.Memory, type, shape, address, bytes);

    private static long Aligned(long bytes) => (bytes + 255) / 256 * 256;
}
