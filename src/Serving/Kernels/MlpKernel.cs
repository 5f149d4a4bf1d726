using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>Kernel of family <c>mlp</c>: see <see cref="MlpWeights"/>.</summary>
/// <remarks>
/// Item and live features lie side by side in a block and meet the first layer as one product, onto the user's part in place of a bias.
/// </remarks>
internal sealed unsafe class MlpKernel : StudentKernel
{
    private readonly PackedLayer user;
    private readonly PackedLayer first;
    private readonly PackedLayer item;
    private readonly PackedLayer? live;
    private readonly PackedLayer[] hidden;
    private readonly OutputWeights output;
    private readonly int itemWidth;
    private readonly int liveWidth;
    private readonly int blockStride;
    private readonly int liveStride;

    public MlpKernel(MlpWeights weights, StudentSignature signature)
    {
        (itemWidth, liveWidth) = (signature.ItemWidth, signature.LiveWidth);
        blockStride = DenseDots.Padded(itemWidth + liveWidth);
        liveStride = DenseDots.Padded(liveWidth);
        user = Pack(weights.User);
        item = Pack(weights.Item);
        live = weights.Live is null ? null : Pack(weights.Live);
        first = weights.Live is null ? item : Pack(SideBySide(weights.Item, weights.Live));
        hidden = [.. weights.Hidden.Select(Pack)];
        output = new(weights.Output);
    }

    // A tile of 12 × 128 × 64 takes a microsecond: a line asked for during one is there for the next. Further ahead, vectors would push the
    // weights (32 KiB) out of the first-level cache. Pairs meet half the weights at a time.
    protected override int VectorRows => Products == KernelProducts.Plain ? DenseTiles.Rows : BlockRows;

    protected override int VectorRowsAhead => VectorRows;

    public override KernelScratch NewScratch(NativeBuffer memory) =>
        new(memory, first.Stride, blockStride, liveStride, Math.Max(first.Stride, hidden.Select(h => h.Stride).DefaultIfEmpty().Max()));

    public override void Begin(float* userRow, KernelScratch scratch) => DenseRow.Multiply(user, userRow, scratch.User, relu: false);

    public override void Score(CandidateColumns columns, int firstRow, int count, int ahead, KernelScratch scratch, float* logits)
    {
        if (Products == KernelProducts.MatrixUnit)
        {
            MultiplyFirstOnMatrixUnit(columns, firstRow, count, ahead, scratch);
        }
        else
        {
            Gather(columns, firstRow, count, scratch.Item);
            var next = columns.Ahead(columns.All, firstRow + count, ahead);
            Multiply(first, scratch.Item, blockStride, count, scratch.User, 0, scratch.First, relu: true, ref next, scratch);
        }
        var nothing = default(RowsAhead);
        Finish(count, ref nothing, scratch, logits);
    }

    // The matrix unit takes rows apart as they come, a tile at a time: so few stay in the first-level cache beside what is made of them.
    private void MultiplyFirstOnMatrixUnit(CandidateColumns columns, int firstRow, int count, int ahead, KernelScratch scratch)
    {
        const int rows = MatrixTileProgram.TileRows;
        for (var done = 0; done < count; done += rows)
        {
            var some = Math.Min(rows, count - done);
            var next = columns.Ahead(columns.All, firstRow + done + count, Math.Clamp(ahead - done, 0, some));
            next.Ask(next.Left);
            Gather(columns, firstRow + done, some, scratch.Item);
            MatrixTiles.Split(scratch.Item, blockStride, some, first.Inputs, scratch.Halves + done / rows * MatrixTileProgram.TileBytes);
        }
        MatrixTiles.Multiply(first.Split!, scratch.Halves, count, scratch.User, 0, scratch.First, first.Stride, relu: true);
    }

    private void Gather(CandidateColumns columns, int firstRow, int count, float* to)
    {
        CandidateColumns.Fill(columns.Item, firstRow, count, to, blockStride);
        if (live is not null)
            CandidateColumns.Fill(columns.Live, firstRow, count, to + itemWidth, blockStride);
    }

    public override void Score(CandidateColumns columns, ReadOnlySpan<nint> vectors, ItemVectorFormat format, int firstRow, ref RowsAhead ahead,
        KernelScratch scratch, float* logits)
    {
        Gathering.AddTo(vectors, format, item.Outputs, scratch.User, scratch.First, first.Stride, relu: live is null);
        if (live is not null)
        {
            CandidateColumns.Fill(columns.Live, firstRow, vectors.Length, scratch.Live, liveStride);
            Multiply(live, scratch.Live, liveStride, vectors.Length, scratch.First, first.Stride, scratch.First, relu: true, scratch);
        }
        Finish(vectors.Length, ref ahead, scratch, logits);
    }

    public override void Encode(float* items, int count, KernelScratch scratch, float* vectors)
    {
        CopyRows(items, itemWidth, scratch.Item, blockStride, count, itemWidth);
        Multiply(item, scratch.Item, blockStride, count, item.Bias, 0, scratch.First, relu: false, scratch);
        CopyRows(scratch.First, item.Stride, vectors, item.Outputs, count, item.Outputs);
    }

    public override void Dispose()
    {
        user.Dispose();
        item.Dispose();
        live?.Dispose();
        first.Dispose();
        foreach (var layer in hidden)
            layer.Dispose();
        output.Dispose();
    }

    private void Finish(int count, ref RowsAhead ahead, KernelScratch scratch, float* logits)
    {
        var stride = first.Stride;
        var values = Through(hidden, scratch.First, ref stride, count, ref ahead, scratch);
        DenseDots.Multiply(values, stride, count, output.Width, output.Weight, output.Bias, output.Targets, logits, isAdded: false);
    }

    // [item; live] meets one matrix: a row of it is the two rows of the parts.
    private static AffineWeights SideBySide(AffineWeights item, AffineWeights live)
    {
        var weight = new float[item.Weight.Length + live.Weight.Length];
        var inputs = item.Inputs + live.Inputs;
        for (var o = 0; o < item.Outputs; o++)
        {
            item.Weight.AsSpan(o * item.Inputs, item.Inputs).CopyTo(weight.AsSpan(o * inputs));
            live.Weight.AsSpan(o * live.Inputs, live.Inputs).CopyTo(weight.AsSpan(o * inputs + item.Inputs));
        }
        return new(weight, [], inputs, item.Outputs);
    }
}
