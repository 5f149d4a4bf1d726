using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Kernels;

/// <summary>Products on the matrix unit against sums in double precision. Where the processor has none there is nothing to test.</summary>
public sealed unsafe class MatrixTilesTests
{
    [Theory]
    [InlineData(192, 128, 48)]
    [InlineData(128, 64, 48)]
    [InlineData(37, 70, 17)]
    [InlineData(16, 1, 1)]
    [InlineData(300, 33, 31)]
    public void Sums_are_right_to_what_two_halves_of_a_number_hold(int inputs, int outputs, int rows)
    {
        if (!MatrixUnit.IsSupported)
            return;
        var random = new Random(inputs);
        var layer = Values(random, inputs * outputs);
        var from = Values(random, rows * inputs);
        var addend = Values(random, PackedLayer.Padded(outputs));

        var actual = Multiply(layer, inputs, outputs, from, rows, addend, relu: false);

        for (var r = 0; r < rows; r++)
        {
            for (var o = 0; o < outputs; o++)
            {
                double sum = addend[o], size = Math.Abs(sum);
                for (var i = 0; i < inputs; i++)
                {
                    sum += (double)from[r * inputs + i] * layer[o * inputs + i];
                    size += Math.Abs((double)from[r * inputs + i] * layer[o * inputs + i]);
                }
                // Each number is off by 2^-17 of itself at most, the product left out is 2^-16; sums in float32 add a little.
                Assert.InRange(actual[r * PackedLayer.Padded(outputs) + o], sum - size * 4e-5, sum + size * 4e-5);
                // And mostly by far less: errors of many terms are as often up as down.
                Assert.InRange(actual[r * PackedLayer.Padded(outputs) + o], sum - 2e-5 * Math.Max(1, Math.Sqrt(inputs) / 8), sum + 2e-5 * Math.Max(1, Math.Sqrt(inputs) / 8));
            }
        }
    }

    [Fact]
    public void A_row_does_not_depend_on_the_rows_beside_it()
    {
        if (!MatrixUnit.IsSupported)
            return;
        var random = new Random(1);
        var layer = Values(random, 40 * 50);
        var addend = Values(random, 64);
        var row = Values(random, 40);
        float[] alone = [.. Multiply(layer, 40, 50, row, 1, addend, relu: true).Take(50)];
        Assert.Contains(alone, v => v > 0);
        Assert.Contains(alone, v => v == 0);
        foreach (var place in (int[])[0, 15, 16, 47])
        {
            var block = Values(random, 48 * 40);
            row.CopyTo(block, place * 40);
            Assert.Equal(alone, Multiply(layer, 40, 50, block, 48, addend, relu: true).Skip(place * 64).Take(50));
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.MaxValue)]
    public void What_is_not_finite_stays_so(float value)
    {
        if (!MatrixUnit.IsSupported)
            return;
        float[] weight = [.. Enumerable.Repeat(4f, 32)];
        var row = new float[32];
        row[20] = value;
        Assert.False(float.IsFinite(Multiply(weight, 32, 1, row, 1, new float[32], relu: true)[0]));
    }

    // .NET takes a null reference as a signal. One whose frame does not fit ends the process: this test would not fail, it would be the last.
    [Fact]
    public void A_thread_that_used_the_unit_still_has_room_for_signals()
    {
        if (!MatrixUnit.IsSupported)
            return;
        var caught = 0;
        for (var t = 0; t < 3; t++)
        {
            var thread = new Thread(() =>
            {
                Multiply([1], 1, 1, [1], 1, new float[32], relu: false);
                try
                {
                    _ = NoString().Length;
                }
                catch (NullReferenceException)
                {
                    caught++;
                }
            });
            thread.Start();
            thread.Join();
        }
        Assert.Equal(3, caught);
    }

    private static string NoString() => null!;

    private static float[] Values(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];

    private static float[] Multiply(float[] weight, int inputs, int outputs, float[] rows, int count, float[] addend, bool relu)
    {
        using var split = new SplitWeights(weight, inputs, outputs);
        using var from = new NativeBuffer();
        using var to = new NativeBuffer();
        using var halves = new NativeBuffer();
        var (fromStride, toStride) = (DenseDots.Padded(inputs), PackedLayer.Padded(outputs));
        from.Reserve((long)count * fromStride * sizeof(float));
        to.Reserve((long)StudentKernel.BlockRows * toStride * sizeof(float));
        halves.Reserve(MatrixTiles.HalvesBytes(inputs));
        for (var r = 0; r < count; r++)
            rows.AsSpan(r * inputs, inputs).CopyTo(new Span<float>(from.Floats + r * fromStride, inputs));
        MatrixTiles.Split(from.Floats, fromStride, count, inputs, (byte*)halves.Address);
        fixed (float* first = addend)
            MatrixTiles.Multiply(split, (byte*)halves.Address, count, first, 0, to.Floats, toStride, relu);
        return new Span<float>(to.Floats, count * toStride).ToArray();
    }
}
