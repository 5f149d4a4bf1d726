namespace KdServing.Contracts.Tests.Features;

/// <summary>The hash is a contract: these constants may never change, for published models and streams rest on them.</summary>
public sealed class FeatureHashTests
{
    [Fact]
    public void Mix_is_splitmix64()
    {
        // The first outputs of splitmix64 seeded with 0, as its authors publish them.
        Assert.Equal(0xE220A8397B1DCDAFUL, FeatureHash.Mix(0));
        Assert.Equal(0x6E789E6AA1B965F4UL, FeatureHash.Mix(0x9E3779B97F4A7C15));
    }

    [Fact]
    public void String_ids_are_fnv1a_of_utf8()
    {
        // From the FNV authors' test vectors.
        Assert.Equal(0xCBF29CE484222325UL, (ulong)FeatureHash.StringId(""));
        Assert.Equal(0xAF63DC4C8601EC8CUL, (ulong)FeatureHash.StringId("a"));
        Assert.Equal(0x85944171F73967E8UL, (ulong)FeatureHash.StringId("foobar"));
        Assert.Equal(-6337505548723824060, FeatureHash.StringId("新闻"));
        Assert.NotEqual(FeatureHash.StringId(new string('x', 300)), FeatureHash.StringId(new string('x', 301)));
    }

    [Theory]
    [InlineData(0, 87546)]
    [InlineData(1, 82309)]
    [InlineData(-1, 88506)]
    [InlineData(160974, 17304)]
    [InlineData(long.MaxValue, 48441)]
    public void Rows_of_a_table(long id, int row) =>
        Assert.Equal(row, FeatureHash.Row(id, FeatureHash.Seed("article"), 131_072));

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1000)]
    public void Consecutive_ids_spread_evenly(int buckets)
    {
        const int PerBucket = 200;
        var counts = new int[buckets];
        for (var id = 0; id < buckets * PerBucket; id++)
            counts[FeatureHash.Row(id, FeatureHash.Seed("t"), buckets)]++;

        // Chi-square with buckets - 1 degrees of freedom: its mean is that many, its variance twice.
        var chiSquare = counts.Sum(c => (double)(c - PerBucket) * (c - PerBucket) / PerBucket);
        Assert.InRange(chiSquare, 0, buckets - 1 + 5 * Math.Sqrt(2 * Math.Max(1, buckets - 1)));
    }

    [Fact]
    public void Tables_collide_on_different_ids()
    {
        var (a, b) = (FeatureHash.Seed("a"), FeatureHash.Seed("b"));
        var both = 0;
        for (var id = 1; id < 100_000; id++)
        {
            both += FeatureHash.Row(id, a, 1000) == FeatureHash.Row(0, a, 1000)
                && FeatureHash.Row(id, b, 1000) == FeatureHash.Row(0, b, 1000) ? 1 : 0;
        }

        // Independent tables: 100,000 / 1000² expected.
        Assert.InRange(both, 0, 3);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(100_000)]
    [InlineData(int.MaxValue)]
    public void Many_ids_get_the_rows_they_get_one_by_one(int buckets)
    {
        var random = new Random(1);
        long[] ids = [0, -1, long.MinValue, long.MaxValue, .. Enumerable.Range(0, 33).Select(_ => random.NextInt64(long.MinValue, long.MaxValue))];
        var seed = FeatureHash.Seed("table");
        var rows = new int[ids.Length];
        FeatureHash.Rows(ids, seed, buckets, rows);
        Assert.Equal(ids.Select(id => FeatureHash.Row(id, seed, buckets)), rows);
    }
}
