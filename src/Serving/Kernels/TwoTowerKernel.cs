using System.Numerics.Tensors;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>Kernel of family <c>two_tower</c>: see <see cref="TwoTowerWeights"/>.</summary>
/// <remarks>
/// The last layer of the item tower is linear and so is the weighted inner product with the user's vector: their product is taken
/// once a request, Σ_d c[t,d]·u[d]·(W[d]·h + b[d]) = (Σ_d c[t,d]·u[d]·W[d])·h + Σ_d c[t,d]·u[d]·b[d], and that layer costs a candidate
/// nothing. With known item vectors a candidate costs one inner product a target.
/// </remarks>
internal sealed unsafe class TwoTowerKernel : StudentKernel
{
    private readonly PackedLayer[] userTower;
    private readonly PackedLayer[] itemTower;
    private readonly PackedLayer last;
    private readonly AffineWeights lastWeights;
    private readonly AffineWeights combine;
    private readonly PackedLayer[] liveNet;
    private readonly OutputWeights? liveOutput;
    private readonly int itemWidth;
    private readonly int blockStride;
    private readonly int liveStride;
    private readonly int foldedWidth;
    private readonly int vectorWidth;
    private readonly int targets;

    public TwoTowerKernel(TwoTowerWeights weights, StudentSignature signature)
    {
        itemWidth = signature.ItemWidth;
        targets = signature.Targets.Count;
        blockStride = DenseDots.Padded(itemWidth);
        liveStride = DenseDots.Padded(signature.LiveWidth);
        userTower = [.. weights.UserTower.Select(Pack)];
        itemTower = [.. weights.ItemTower.SkipLast(1).Select(Pack)];
        last = Pack(weights.ItemTower[^1]);
        lastWeights = weights.ItemTower[^1];
        combine = weights.Combine;
        liveNet = [.. weights.LiveNet.SkipLast(1).Select(Pack)];
        if (weights.LiveNet.Count > 0)
            liveOutput = new(weights.LiveNet[^1] with { Bias = new float[targets] });
        foldedWidth = DenseDots.Padded(lastWeights.Inputs);
        vectorWidth = DenseDots.Padded(lastWeights.Outputs);
    }

    protected override int VectorRows => Products == KernelProducts.MatrixUnit ? BlockRows : DenseTiles.Rows;

    // Nothing but one inner product lies between two vectors: memory is what takes the time, and must never run out of requests.
    protected override int VectorRowsAhead => 3 * VectorRows;

    // The user's part: [folded (targets, foldedWidth)][its bias (targets)][product (targets, vectorWidth)][its bias (targets)].
    private int FoldedBias => targets * foldedWidth;

    private int Product => DenseDots.Padded(FoldedBias + targets);

    private int ProductBias => Product + targets * vectorWidth;

    public override KernelScratch NewScratch(NativeBuffer memory)
    {
        var widest = userTower.Concat(itemTower).Concat(liveNet).Append(last).Max(l => l.Stride);
        return new(memory, ProductBias + targets, blockStride, liveStride, widest);
    }

    public override void Begin(float* user, KernelScratch scratch)
    {
        var from = user;
        for (var k = 0; k < userTower.Length; k++)
        {
            var to = from == scratch.First ? scratch.Second : scratch.First;
            DenseRow.Multiply(userTower[k], from, to, relu: k + 1 < userTower.Length);
            from = to;
        }
        var dimension = lastWeights.Outputs;
        var vector = new ReadOnlySpan<float>(from, dimension);
        for (var t = 0; t < targets; t++)
        {
            var product = new Span<float>(scratch.User + Product + t * vectorWidth, dimension);
            TensorPrimitives.Multiply(combine.Weight.AsSpan(t * dimension, dimension), vector, product);
            var folded = new Span<float>(scratch.User + t * foldedWidth, lastWeights.Inputs);
            folded.Clear();
            for (var d = 0; d < dimension; d++)
                TensorPrimitives.MultiplyAdd(lastWeights.Weight.AsSpan(d * lastWeights.Inputs, lastWeights.Inputs), product[d], folded, folded);
            var bias = combine.Bias.Length == 0 ? 0 : combine.Bias[t];
            scratch.User[ProductBias + t] = bias;
            scratch.User[FoldedBias + t] = bias + (lastWeights.Bias.Length == 0 ? 0 : TensorPrimitives.Dot<float>(lastWeights.Bias, product));
        }
    }

    public override void Score(CandidateColumns columns, int first, int count, int ahead, KernelScratch scratch, float* logits)
    {
        CandidateColumns.Fill(columns.Item, first, count, scratch.Item, blockStride);
        var next = columns.Ahead(columns.Item, first + count, ahead);
        var stride = blockStride;
        var values = Through(itemTower, scratch.Item, ref stride, count, ref next, scratch);
        // A tower of one layer has no product here.
        next.Ask(next.Left);
        DenseDots.Multiply(values, stride, count, foldedWidth, scratch.User, scratch.User + FoldedBias, targets, logits, isAdded: false);
        AddLive(columns, first, count, ahead, scratch, logits);
    }

    public override void Score(CandidateColumns columns, ReadOnlySpan<nint> vectors, ItemVectorFormat format, int first, ref RowsAhead ahead,
        KernelScratch scratch, float* logits)
    {
        var product = scratch.User + Product;
        var bias = scratch.User + ProductBias;
        if (format == ItemVectorFormat.Float32 && vectorWidth == lastWeights.Outputs)
        {
            DenseDots.Multiply(vectors, vectorWidth, product, bias, targets, logits, isAdded: false);
        }
        else
        {
            // The weights beyond the vector's width are zero; the block's floats there are finite.
            Gathering.AddTo(vectors, format, lastWeights.Outputs, Zeros(scratch), scratch.First, last.Stride, relu: false);
            DenseDots.Multiply(scratch.First, last.Stride, vectors.Length, vectorWidth, product, bias, targets, logits, isAdded: false);
        }
        AddLive(columns, first, vectors.Length, 0, scratch, logits);
    }

    public override void Encode(float* items, int count, KernelScratch scratch, float* vectors)
    {
        CopyRows(items, itemWidth, scratch.Item, blockStride, count, itemWidth);
        var stride = blockStride;
        var values = Through(itemTower, scratch.Item, ref stride, count, scratch);
        var to = values == scratch.First ? scratch.Second : scratch.First;
        Multiply(last, values, stride, count, last.Bias, 0, to, relu: false, scratch);
        CopyRows(to, last.Stride, vectors, last.Outputs, count, last.Outputs);
    }

    public override void Dispose()
    {
        foreach (var layer in userTower.Concat(itemTower).Concat(liveNet).Append(last))
            layer.Dispose();
        liveOutput?.Dispose();
    }

    private void AddLive(CandidateColumns columns, int first, int count, int ahead, KernelScratch scratch, float* logits)
    {
        if (liveOutput is null)
            return;
        CandidateColumns.Fill(columns.Live, first, count, scratch.Live, liveStride);
        var next = columns.Ahead(columns.Live, first + count, ahead);
        var stride = liveStride;
        var values = Through(liveNet, scratch.Live, ref stride, count, ref next, scratch);
        next.Ask(next.Left);
        DenseDots.Multiply(values, stride, count, liveOutput.Width, liveOutput.Weight, liveOutput.Bias, targets, logits, isAdded: true);
    }

    // The second half of the activations is free before the live net runs.
    private float* Zeros(KernelScratch scratch)
    {
        new Span<float>(scratch.Second, last.Stride).Clear();
        return scratch.Second;
    }
}
