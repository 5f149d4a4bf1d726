using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Accelerators;

/// <summary>The students on a device, one a shape, for as long as a version of it is loaded. One thread loads; any frees.</summary>
internal sealed class DeviceModels(Accelerator accelerator, DeviceOptions options) : IDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);

    /// <summary>The device.</summary>
    public Accelerator Accelerator => accelerator;

    /// <summary>A version left the device while it served; says why.</summary>
    public event Action<string>? Failed;

    /// <summary>Device memory of all versions' places, bytes.</summary>
    public long Bytes
    {
        get
        {
            lock (gate)
                return entries.Values.Sum(e => e.Model.SlotBytes);
        }
    }

    /// <summary>Brings a version to the device.</summary>
    /// <param name="files">User encoder, item encoder, head; each has passed <see cref="OnnxScan"/>.</param>
    /// <param name="held">A version whose pages the tables share, if it is there.</param>
    /// <param name="rest">Called between steps.</param>
    /// <exception cref="AcceleratorException">The version can not be on this device; says why.</exception>
    public DeviceVersion Open(IReadOnlyList<byte[]> files, FeatureSchema schema, StudentSignature signature, IReadOnlyList<EmbeddingTable> tables,
        DeviceVersion? held, Action rest)
    {
        var graph = DeviceGraph.Of(files, schema, signature, takesVectors: false)
            ?? throw new AcceleratorException("its graphs can not be made one: constants that are not raw bytes, or different opsets");
        Entry entry;
        lock (gate)
        {
            if (!entries.TryGetValue(graph.Shape, out entry!))
                entries[graph.Shape] = entry = new(Make(options.HasCatalog ? [graph, DeviceGraph.Of(files, schema, signature, takesVectors: true)!] : [graph], signature));
            entry.Users++;
        }
        try
        {
            var beside = held?.Model == entry.Model ? (held.Slot, held.Tables) : ((DeviceSlot, IReadOnlyList<EmbeddingTable>)?)null;
            var slot = entry.Model.Place(graph, tables, beside, rest);
            return new(entry.Model, slot, schema, graph.Arenas, tables, reason => Failed?.Invoke(reason), () => Close(graph.Shape));
        }
        catch (Exception e)
        {
            Close(graph.Shape);
            if (e is Microsoft.ML.OnnxRuntime.OnnxRuntimeException)
                throw new AcceleratorException($"ONNX Runtime: {e.Message}");
            throw;
        }
    }

    public void Dispose() => accelerator.Dispose();

    private DeviceModel Make(IReadOnlyList<DeviceGraph> graphs, StudentSignature signature)
    {
        try
        {
            return new(accelerator, graphs, signature, options.Lanes);
        }
        catch (Microsoft.ML.OnnxRuntime.OnnxRuntimeException e)
        {
            throw new AcceleratorException($"ONNX Runtime: {e.Message}");
        }
    }

    private void Close(string shape)
    {
        lock (gate)
        {
            var entry = entries[shape];
            if (--entry.Users > 0)
                return;
            entries.Remove(shape);
            entry.Model.Dispose();
        }
    }

    private sealed class Entry(DeviceModel model)
    {
        public DeviceModel Model => model;

        public int Users { get; set; }
    }
}
