using KdServing.Contracts;
using KdServing.Serving.Models;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Accelerators;

/// <summary>The students on a device, one a shape, for as long as a version of it is loaded. One thread loads; any frees.</summary>
internal sealed class DeviceModels(Accelerator accelerator, DeviceOptions options) : IDisposable
{
    private readonly SharedByShape<DeviceModel> models = new();

    /// <summary>The device.</summary>
    public Accelerator Accelerator => accelerator;

    /// <summary>A version left the device while it served; says why.</summary>
    public event Action<string>? Failed;

    /// <summary>Device memory of all versions' places, bytes.</summary>
    public long Bytes => models.All.Sum(m => m.SlotBytes);

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
        try
        {
            var model = models.Take(graph.Shape, () => new(accelerator,
                options.HasCatalog ? [graph, DeviceGraph.Of(files, schema, signature, takesVectors: true)!] : [graph], signature, options.Lanes));
            try
            {
                var beside = held?.Model == model ? (held.Slot, held.Tables) : ((DeviceSlot, IReadOnlyList<EmbeddingTable>)?)null;
                return new(model, model.Place(graph, tables, beside, rest), schema, graph.Arenas, tables, reason => Failed?.Invoke(reason), () => models.Return(graph.Shape));
            }
            catch
            {
                models.Return(graph.Shape);
                throw;
            }
        }
        catch (OnnxRuntimeException e)
        {
            throw new AcceleratorException($"ONNX Runtime: {e.Message}");
        }
    }

    public void Dispose() => accelerator.Dispose();
}
