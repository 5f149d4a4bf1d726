using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

public sealed class TopKTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 3)]
    [InlineData(8, 8)]
    [InlineData(1000, 0)]
    [InlineData(1000, 1)]
    [InlineData(1000, 10)]
    [InlineData(1000, 999)]
    [InlineData(10_000, 100)]
    [InlineData(10_000, 9_000)]
    public void Selects_what_a_stable_sort_puts_first(int count, int k)
    {
        var random = new Random(count * 31 + k);
        foreach (var distinct in (int[])[2, 50, int.MaxValue])
        {
            var values = Enumerable.Range(0, count).Select(_ => (random.Next(distinct) - distinct / 2) * 0.37f).ToArray();
            Assert.Equal(Sorted(values, k), Selected(values, k));
        }
    }

    // Below, at and beyond the size from which keys are sorted by counting; with bytes that all share, and with none such.
    [Fact]
    public void Sorting_keeps_what_is_equal_in_order()
    {
        var random = new Random(7);
        foreach (var count in (int[])[0, 1, 2, 47, 48, 49, 300, 2000])
        {
            foreach (var distinct in (int[])[1, 3, 200, 70_000, int.MaxValue])
            {
                var keys = Enumerable.Range(0, count).Select(i => ((ulong)(uint)(random.Next(distinct) * 2654435761L) << 32) | (uint)i).ToArray();
                var expected = keys.OrderBy(k => k >> 32).ToArray();
                RadixSort.Sort(keys, new ulong[count]);
                Assert.Equal(expected, keys);
            }
        }
    }

    [Fact]
    public void Ascending_values_replace_the_pool_again_and_again()
    {
        var values = Enumerable.Range(0, 20_000).Select(i => (float)i).ToArray();
        Assert.Equal(Sorted(values, 50), Selected(values, 50));
    }

    [Fact]
    public void What_is_not_a_number_comes_last()
    {
        Assert.Equal([3, 1, 0, 2], Selected([float.NegativeInfinity, 1f, float.NaN, 2f], 4));
        Assert.Equal([1, 3, 0, 2], Selected([float.NaN, float.NegativeInfinity, float.NaN, float.NegativeInfinity], 4)[..4]);
        Assert.Equal([600, 0, 1], Selected([.. Enumerable.Repeat(float.NaN, 600), 1f], 3));
        Assert.Equal([9000, 9001, 0], Selected([.. Enumerable.Repeat(float.NaN, 9000), 1f, float.NegativeInfinity], 3));
    }

    [Fact]
    public void Of_equal_values_the_lower_position_wins()
    {
        Assert.Equal([1, 3, 4, 0], Selected([1f, 2f, -1f, 2f, 2f, 1f], 4));
        Assert.Equal([0, 1, 2], Selected([0f, -0f, 0f, -0f], 3));
        Assert.Equal(Enumerable.Range(0, 600), Selected(new float[5000], 600));
    }

    [Fact]
    public void Signs_and_magnitudes_are_ordered()
    {
        float[] values = [-1e30f, 1e-40f, 3f, -1e-40f, 1e30f, 0f, -2f];
        Assert.Equal([4, 2, 1, 5, 3, 6, 0], Selected(values, 7));
    }

    [Fact]
    public void Allocates_nothing()
    {
        var values = Enumerable.Range(0, 1000).Select(i => MathF.Sin(i)).ToArray();
        var best = new int[100];
        for (var i = 0; i < 3; i++)
            TopK.Select(values, best);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            TopK.Select(values, best);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static int[] Selected(float[] values, int k)
    {
        var best = new int[k];
        TopK.Select(values, best);
        return best;
    }

    private static int[] Sorted(float[] values, int k) =>
        [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).ThenBy(i => i).Take(k)];
}
