using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Tests.Models;

namespace KdServing.Serving.Tests.Kernels;

/// <summary>Products of inputs in pairs against sums in double precision and plain tiles. Where vectors are too narrow there is nothing to test.</summary>
public sealed unsafe class PairTilesTests
{
    [Theory]
    [InlineData(192, 128, 48, 1f, 1f)]
    [InlineData(128, 64, 36, 1f, 1f)]
    [InlineData(37, 70, 24, 1f, 1f)]
    [InlineData(1, 1, 12, 1f, 1f)]
    [InlineData(300, 33, 12, 1f, 1f)]
    // Weights of any size, and inputs far smaller than 1 or at the edge of what is in reach.
    [InlineData(192, 64, 12, 1f, 1e-6f)]
    [InlineData(192, 64, 12, 1f, 1e6f)]
    [InlineData(192, 64, 12, 64f, 1f)]
    [InlineData(192, 64, 12, 0.1f, 0.1f)]
    public void Sums_are_right(int inputs, int outputs, int rows, float size, float weightSize)
    {
        if (!PairTiles.IsSupported)
            return;
        var random = new Random(inputs);
        using var product = new Product(Values(random, inputs * outputs, weightSize), inputs, outputs, Values(random, rows * inputs, size), rows);
        var addend = Values(random, outputs, size * weightSize);

        var actual = product.Multiply(addend, relu: false);

        Assert.Equal(0, product.RowsApart);
        for (var r = 0; r < rows; r++)
        {
            for (var o = 0; o < outputs; o++)
            {
                double sum = addend[o];
                for (var i = 0; i < inputs; i++)
                    sum += (double)product.From(r, i) * product.Weight(o, i);
                // As if each input and each weight were of the usual size; half a unit in the last place of every term, mostly up as often as down.
                var terms = (Math.Max(1, size / 2) * Math.Max(1, size / 2) * weightSize * Math.Sqrt(inputs)) + Math.Abs(sum);
                Assert.InRange(actual[r, o], sum - terms * 1e-6, sum + terms * 1e-6);
            }
        }
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(1e4f)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_row_does_not_depend_on_the_rows_beside_it(float besideIt)
    {
        if (!PairTiles.IsSupported)
            return;
        var random = new Random(1);
        var weights = Values(random, 40 * 50, 1);
        var addend = Values(random, 50, 1);
        var row = Values(random, 40, 1);
        using var single = new Product(weights, 40, 50, row, 1);
        var alone = single.Multiply(addend, relu: true).Row(0);
        Assert.Contains(alone, v => v > 0);
        Assert.Contains(alone, v => v == 0);
        foreach (var place in (int[])[0, 11, 12, 47])
        {
            var block = Values(random, 48 * 40, 1);
            if (besideIt != 0)
                block[(place == 0 ? 1 : place - 1) * 40 + 7] = besideIt;
            row.CopyTo(block, place * 40);
            using var many = new Product(weights, 40, 50, block, 48);
            Assert.Equal(alone, many.Multiply(addend, relu: true).Row(place));
        }
    }

    // To the bit, also where the addend is what is written.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_row_beyond_reach_is_multiplied_plainly(bool isInPlace)
    {
        if (!PairTiles.IsSupported)
            return;
        var random = new Random(1);
        var rows = Values(random, 24 * 33, 1);
        rows[5 * 33 + 32] = 33;
        rows[23 * 33] = -1e30f;
        using var product = new Product(Values(random, 33 * 40, 1), 33, 40, rows, 24);
        var addend = Values(random, 40, 1);

        var plain = product.MultiplyPlainly(addend, relu: true);
        var actual = product.Multiply(addend, relu: true, isInPlace);

        Assert.Equal(2, product.RowsApart);
        Assert.Equal(plain.Row(5), actual.Row(5));
        Assert.Equal(plain.Row(23), actual.Row(23));
        Assert.NotEqual(plain.Row(4), actual.Row(4));
        for (var r = 0; r < 23; r++)
            Assert.All(actual.Row(r).Zip(plain.Row(r)), v => Assert.Equal(v.Second, v.First, 1e-5f));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.MaxValue)]
    public void What_is_not_finite_stays_so(float value)
    {
        if (!PairTiles.IsSupported)
            return;
        var row = new float[32];
        row[20] = value;
        using var product = new Product([.. Enumerable.Repeat(4f, 32)], 32, 1, row, 1);
        Assert.False(float.IsFinite(product.Multiply([0], relu: true)[0, 0]));
    }

    [Fact]
    public void An_output_without_weights_is_its_addend()
    {
        if (!PairTiles.IsSupported)
            return;
        var random = new Random(1);
        using var product = new Product(new float[2 * 20], 20, 2, Values(random, 12 * 20, 1), 12);
        var actual = product.Multiply([0.25f, -3], relu: false);
        Assert.All(Enumerable.Range(0, 12), r => Assert.Equal([0.25f, -3, .. new float[30]], actual.WholeRow(r)));
    }

    // Right it would be, but every such row is multiplied twice.
    [Fact]
    public void A_version_whose_sample_requests_are_beyond_reach_is_scored_plainly()
    {
        if (!PairTiles.IsSupported)
            return;
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var servable = versions[1];

        Assert.Equal(ScoringEngine.PairKernel, Choose(sample.Request(candidates: 20, seed: 1)));
        Assert.Null(servable.EngineRefusal);

        var popular = sample.Request(candidates: 20, seed: 1);
        popular.Item.Single(c => c.Name == "popularity").Floats.Value[7] = 1000;
        Assert.Equal(ScoringEngine.Kernel, Choose(popular));
        Assert.Contains("beyond 32", servable.EngineRefusal, StringComparison.Ordinal);

        ScoringEngine Choose(RankRequest request)
        {
            servable.Engine = ScoringEngine.PairKernel;
            EngineParity.Choose(servable, GoldenRequests.Batch([(request, sample.Score(request))]), EngineParity.Tolerance, new Pace());
            return servable.Engine;
        }
    }

    private static float[] Values(Random random, int count, float size) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * size)];

    // Rows and weights where the tiles want them.
    private sealed class Product : IDisposable
    {
        private readonly float[] weights;
        private readonly int inputs;
        private readonly int outputs;
        private readonly int rows;
        private readonly int fromStride;
        private readonly PackedLayer layer;
        private readonly NativeBuffer from = new();
        private readonly NativeBuffer to = new();
        private readonly NativeBuffer addends = new();

        public Product(float[] weights, int inputs, int outputs, float[] values, int rows)
        {
            (this.weights, this.inputs, this.outputs, this.rows) = (weights, inputs, outputs, rows);
            layer = new(weights, [], inputs, outputs);
            fromStride = DenseDots.Padded(inputs);
            var padded = DenseTiles.Padded(rows);
            from.Reserve((long)padded * fromStride * sizeof(float));
            to.Reserve((long)padded * layer.Stride * sizeof(float));
            addends.Reserve((long)layer.Stride * sizeof(float));
            for (var r = 0; r < rows; r++)
                values.AsSpan(r * inputs, inputs).CopyTo(new(from.Floats + r * fromStride, inputs));
        }

        public int RowsApart { get; private set; }

        public float From(int row, int input) => from.Floats[row * fromStride + input];

        public float Weight(int output, int input) => weights[output * inputs + input];

        public Rows Multiply(float[] addend, bool relu, bool isInPlace = false)
        {
            var (d, stride) = Place(addend, isInPlace);
            var nothing = default(RowsAhead);
            RowsApart = PairTiles.Multiply(layer, from.Floats, fromStride, DenseTiles.Padded(rows), (float*)d, stride, to.Floats, relu, ref nothing);
            return Result();
        }

        public Rows MultiplyPlainly(float[] addend, bool relu)
        {
            var (d, stride) = Place(addend, isInPlace: false);
            DenseTiles.Multiply(layer, from.Floats, fromStride, DenseTiles.Padded(rows), (float*)d, stride, to.Floats, relu);
            return Result();
        }

        public void Dispose()
        {
            layer.Dispose();
            from.Dispose();
            to.Dispose();
            addends.Dispose();
        }

        private (nint Addend, int Stride) Place(float[] addend, bool isInPlace)
        {
            addend.CopyTo(new Span<float>(addends.Floats, layer.Stride));
            if (!isInPlace)
                return (addends.Address, 0);
            for (var r = 0; r < DenseTiles.Padded(rows); r++)
                new ReadOnlySpan<float>(addends.Floats, layer.Stride).CopyTo(new(to.Floats + r * layer.Stride, layer.Stride));
            return (to.Address, layer.Stride);
        }

        private Rows Result() => new(new Span<float>(to.Floats, rows * layer.Stride).ToArray(), outputs, layer.Stride);
    }

    private sealed record Rows(float[] Values, int Outputs, int Stride)
    {
        public float this[int row, int output] => Values[row * Stride + output];

        public float[] Row(int row) => Values[(row * Stride)..(row * Stride + Outputs)];

        public float[] WholeRow(int row) => Values[(row * Stride)..((row + 1) * Stride)];
    }
}
