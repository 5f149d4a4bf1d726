using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>What a kernel keeps of one request while it scores: the user's part, and one block of activations. One thread at a time.</summary>
internal sealed unsafe class KernelScratch
{
    /// <param name="memory">Where it lies; the owner frees it.</param>
    /// <param name="userFloats">What a kernel derives of the user, once a request.</param>
    /// <param name="itemStride">Floats a row of a block's item vectors.</param>
    /// <param name="liveStride">The same of live and cross features; 0: none.</param>
    /// <param name="layerStride">The widest layer's.</param>
    public KernelScratch(NativeBuffer memory, int userFloats, int itemStride, int liveStride, int layerStride)
    {
        var sizes = (ReadOnlySpan<int>)[userFloats, itemStride * StudentKernel.BlockRows, liveStride * StudentKernel.BlockRows,
            layerStride * StudentKernel.BlockRows, layerStride * StudentKernel.BlockRows];
        var total = 0L;
        foreach (var size in sizes)
            total += Aligned(size);
        var activations = total;
        if (MatrixUnit.IsSupported)
            total += MatrixTiles.HalvesBytes(Math.Max(layerStride, Math.Max(itemStride, liveStride))) / sizeof(float);
        memory.Reserve(total * sizeof(float));
        // What pads a row is never written, and must not be what another version left there.
        new Span<float>(memory.Floats, checked((int)total)).Clear();
        User = memory.Floats;
        Item = User + Aligned(sizes[0]);
        Live = Item + Aligned(sizes[1]);
        First = Live + Aligned(sizes[2]);
        Second = First + Aligned(sizes[3]);
        Halves = (byte*)(memory.Floats + activations);
    }

    /// <summary>Rows of all layers so far that <see cref="PairTiles"/> multiplied twice.</summary>
    public long RowsApart { get; set; }

    public float* User { get; }

    public float* Item { get; }

    public float* Live { get; }

    /// <summary>Activations; layers go back and forth between this and <see cref="Second"/>.</summary>
    public float* First { get; }

    public float* Second { get; }

    /// <summary>What <see cref="MatrixTiles"/> makes of a layer's inputs; of no size where there is no matrix unit.</summary>
    public byte* Halves { get; }

    private static int Aligned(int floats) => (floats + 15) / 16 * 16;
}
