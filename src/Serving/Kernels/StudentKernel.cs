using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>
/// The hand-vectorised scoring of a student family: embedding rows are gathered block by block right before they are multiplied, the
/// user's part is computed once a request, and activations never leave the first two caches. Immutable; any thread, with a scratch of its own.
/// </summary>
/// <remarks>
/// <code>
/// kernel.Begin(user, scratch);
/// for (first = 0; first &lt; candidates; first += BlockRows) kernel.Score(columns, first, count, left, scratch, logits);
/// </code>
/// <see cref="ServableLoader"/> uses it only where it agrees with ONNX Runtime.
/// </remarks>
internal abstract unsafe class StudentKernel : IDisposable
{
    /// <summary>
    /// Candidates a block: four tiles of vectors, one call of the matrix unit; 192 inputs a candidate are 36 KiB then, which leaves the second
    /// cache to the weights.
    /// </summary>
    public const int BlockRows = 4 * DenseTiles.Rows;

    /// <summary>How it multiplies; the machine must be able to. Changed only before the version serves.</summary>
    public KernelProducts Products { get; set; }

    /// <summary>Candidates a block when item vectors are known: what is multiplied at once, so that memory works evenly meanwhile.</summary>
    protected abstract int VectorRows { get; }

    /// <summary>How far ahead of their use vectors are asked for, candidates.</summary>
    protected abstract int VectorRowsAhead { get; }

    /// <summary>The fastest way to multiply on this machine.</summary>
    public static KernelProducts FastestProducts =>
        MatrixUnit.IsSupported ? KernelProducts.MatrixUnit : PairPayoff.Pays ? KernelProducts.Pairs : KernelProducts.Plain;

    /// <returns>Null when this machine's vectors are too narrow or the family is unknown.</returns>
    public static StudentKernel? Make(StudentWeights? weights, StudentSignature signature) => DenseTiles.IsSupported
        ? weights switch
        {
            MlpWeights mlp => new MlpKernel(mlp, signature),
            TwoTowerWeights towers => new TwoTowerKernel(towers, signature),
            _ => null,
        }
        : null;

    /// <param name="memory">Where it is to lie.</param>
    public abstract KernelScratch NewScratch(NativeBuffer memory);

    /// <summary>What is computed once a request.</summary>
    /// <param name="user">[user width].</param>
    public abstract void Begin(float* user, KernelScratch scratch);

    /// <summary>Logits of one block of candidates.</summary>
    /// <param name="ahead">Candidates of the next block.</param>
    /// <param name="logits">[count, targets] of this block, written.</param>
    public abstract void Score(CandidateColumns columns, int first, int count, int ahead, KernelScratch scratch, float* logits);

    /// <summary>Logits of one block of candidates whose item vectors are known.</summary>
    /// <param name="columns">Of these, only live and cross features are read.</param>
    /// <param name="vectors">Addresses of the block's vectors, at most <see cref="BlockRows"/>.</param>
    /// <param name="ahead">Vectors of a later block, to be asked for meanwhile.</param>
    public abstract void Score(CandidateColumns columns, ReadOnlySpan<nint> vectors, ItemVectorFormat format, int first, ref RowsAhead ahead,
        KernelScratch scratch, float* logits);

    /// <summary>Logits of all candidates whose item vectors are known; <see cref="Begin"/> has been called.</summary>
    /// <param name="width">Floats a vector.</param>
    /// <param name="targets">Logits a candidate.</param>
    public void Score(CandidateColumns columns, ReadOnlySpan<nint> vectors, ItemVectorFormat format, int width, KernelScratch scratch, float* logits,
        int targets)
    {
        var bytes = Gathering.Bytes(format, width);
        var (rows, rowsAhead) = (VectorRows, VectorRowsAhead);
        // Where pairs pay, the first-level cache is 32 KiB: no room for a block's vectors beside the weights.
        var isFar = rows == BlockRows && Products == KernelProducts.Pairs;
        var ahead = new RowsAhead(vectors[..Math.Min(rowsAhead, vectors.Length)], bytes, isFar);
        ahead.Ask(ahead.Left);
        for (var first = 0; first < vectors.Length; first += rows)
        {
            var next = Math.Min(first + rowsAhead, vectors.Length);
            ahead = new(vectors[next..Math.Min(next + rows, vectors.Length)], bytes, isFar);
            Score(columns, vectors.Slice(first, Math.Min(rows, vectors.Length - first)), format, first, ref ahead, scratch, logits + (nint)first * targets);
            // A kernel without a product to ask in between leaves them all.
            ahead.Ask(ahead.Left);
        }
    }

    /// <summary>Item vectors of one block of items.</summary>
    /// <param name="items">[count, item width].</param>
    /// <param name="vectors">[count, item vector width], written.</param>
    public abstract void Encode(float* items, int count, KernelScratch scratch, float* vectors);

    public abstract void Dispose();

    protected static PackedLayer Pack(AffineWeights layer) => new(layer.Weight, layer.Bias, layer.Inputs, layer.Outputs);

    /// <summary>to = [relu](from·Wᵀ + addend) for one block.</summary>
    /// <param name="from">[count, <paramref name="fromStride"/>].</param>
    /// <param name="addend">[count, <paramref name="addendStride"/>], or one row for all when the stride is 0. May be <paramref name="to"/>.</param>
    /// <param name="to">[<see cref="BlockRows"/>, <see cref="PackedLayer.Stride"/>].</param>
    protected void Multiply(PackedLayer layer, float* from, int fromStride, int count, float* addend, int addendStride, float* to, bool relu,
        KernelScratch scratch)
    {
        var nothing = default(RowsAhead);
        Multiply(layer, from, fromStride, count, addend, addendStride, to, relu, ref nothing, scratch);
    }

    /// <param name="ahead">Asked for meanwhile.</param>
    /// <inheritdoc cref="Multiply(PackedLayer, float*, int, int, float*, int, float*, bool, KernelScratch)"/>
    protected void Multiply(PackedLayer layer, float* from, int fromStride, int count, float* addend, int addendStride, float* to, bool relu,
        ref RowsAhead ahead, KernelScratch scratch)
    {
        switch (Products)
        {
            case KernelProducts.Plain:
                DenseTiles.Multiply(layer, from, fromStride, DenseTiles.Padded(count), addend, addendStride, to, relu, ref ahead);
                break;
            case KernelProducts.Pairs:
                scratch.RowsApart += PairTiles.Multiply(layer, from, fromStride, DenseTiles.Padded(count), addend, addendStride, to, relu, ref ahead);
                break;
            case KernelProducts.MatrixUnit:
                MatrixTiles.Split(from, fromStride, count, layer.Inputs, scratch.Halves);
                ahead.Ask(ahead.Left);
                MatrixTiles.Multiply(layer.Split!, scratch.Halves, count, addend, addendStride, to, layer.Stride, relu);
                break;
        }
    }

    /// <summary>Runs layers with relu after each, from the block in <paramref name="from"/>.</summary>
    /// <param name="stride">Floats a row; afterwards, of the result.</param>
    /// <returns>Where the result lies.</returns>
    protected float* Through(ReadOnlySpan<PackedLayer> layers, float* from, ref int stride, int count, KernelScratch scratch)
    {
        var nothing = default(RowsAhead);
        return Through(layers, from, ref stride, count, ref nothing, scratch);
    }

    /// <param name="ahead">Asked for by the first layer.</param>
    /// <inheritdoc cref="Through(ReadOnlySpan{PackedLayer}, float*, ref int, int, KernelScratch)"/>
    protected float* Through(ReadOnlySpan<PackedLayer> layers, float* from, ref int stride, int count, ref RowsAhead ahead, KernelScratch scratch)
    {
        foreach (var layer in layers)
        {
            var to = from == scratch.First ? scratch.Second : scratch.First;
            Multiply(layer, from, stride, count, layer.Bias, 0, to, relu: true, ref ahead, scratch);
            from = to;
            stride = layer.Stride;
        }
        return from;
    }

    /// <summary>Copies rows of one stride into a block of another; floats up to the next multiple of 16, as far as the stride has them, are zeroed.</summary>
    protected static void CopyRows(float* from, nint fromStride, float* to, nint toStride, int rows, int width)
    {
        var padding = (int)Math.Min(DenseDots.Padded(width), toStride) - width;
        for (var r = 0; r < rows; r++, from += fromStride, to += toStride)
        {
            new ReadOnlySpan<float>(from, width).CopyTo(new(to, width));
            new Span<float>(to + width, padding).Clear();
        }
    }
}
