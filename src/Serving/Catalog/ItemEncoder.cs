using KdServing.Serving.Models;

namespace KdServing.Serving.Catalog;

/// <summary>Makes item vectors of a version from stored features; holds the buffers for it. One thread at a time.</summary>
internal sealed class ItemEncoder : IDisposable
{
    /// <summary>Items a run of the encoder: enough to use the matrix product well, few enough to stay in the second-level cache.</summary>
    public const int BatchItems = 256;

    private readonly NativeBuffer item = new();
    private readonly NativeBuffer vector = new();
    private readonly int[] rows = new int[BatchItems];

    /// <summary>Vectors of some slots' items, row-major [slots, vector width]; valid until the next call.</summary>
    /// <param name="slots">At most <see cref="BatchItems"/>, all holding an item.</param>
    public ReadOnlySpan<float> Encode(VersionItems version, ItemFeatures features, ReadOnlySpan<int> slots)
    {
        var signature = version.Servable.Manifest.Signature;
        var inputs = Floats(item, slots.Length * signature.ItemWidth);
        features.Assemble(version.Servable.Schema.Item, version.Assembler, slots, inputs, rows);
        return Run(version, inputs, slots.Length);
    }

    /// <summary>The vector of an item without any feature: its embeddings and standardised numbers zero.</summary>
    public ReadOnlySpan<float> EncodeNothing(VersionItems version)
    {
        var inputs = Floats(item, version.Servable.Manifest.Signature.ItemWidth);
        inputs.Clear();
        return Run(version, inputs, 1);
    }

    public void Dispose()
    {
        item.Dispose();
        vector.Dispose();
    }

    private ReadOnlySpan<float> Run(VersionItems version, ReadOnlySpan<float> inputs, int count)
    {
        var vectors = Floats(vector, count * version.Servable.Manifest.Signature.ItemVectorWidth);
        version.Servable.EncodeItems(inputs, count, vectors);
        return vectors;
    }

    private static unsafe Span<float> Floats(NativeBuffer buffer, int count)
    {
        buffer.Reserve(sizeof(float) * (long)count);
        return new(buffer.Floats, count);
    }
}
