using KdServing.Datasets;
using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Traffic;

public class LatencyHistogramTests
{
    [Theory]
    [InlineData(1, 120)]
    [InlineData(100, 20_000)]
    [InlineData(1, 4_000_000)]
    [InlineData(50_000_000, 900_000_000)]
    public void Quantiles_are_within_one_in_128_of_the_sorted_values(long least, long most)
    {
        var random = new SplitMix64(1);
        var histogram = new LatencyHistogram();
        var values = new List<long>();
        for (var n = 0; n < 20_000; n++)
        {
            // Spread evenly over the orders of magnitude.
            var us = (long)(least * Math.Pow((double)most / least, random.NextDouble()));
            values.Add(us);
            histogram.Record(us);
        }

        values.Sort();
        foreach (var quantile in new[] { 0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1 })
        {
            var exact = values[Math.Max(1, (int)Math.Ceiling(quantile * values.Count)) - 1];
            Assert.InRange(histogram.QuantileMs(quantile) * 1000, exact, exact * (1 + (1 / 128.0)));
        }

        Assert.Equal(values[^1], histogram.MaxUs);
        Assert.Equal(values.Average(), histogram.MeanUs, values.Average() * 1e-9);
    }

    [Fact]
    public void Extremes_are_counted()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(0, histogram.QuantileMs(0.99));
        histogram.Record(-5);
        histogram.Record(0);
        histogram.Record(long.MaxValue);
        Assert.Equal(3, histogram.Count);
        Assert.Equal(0, histogram.QuantileMs(0.5));
        Assert.Equal(long.MaxValue, histogram.MaxUs);
    }

    [Fact]
    public void Adding_equals_recording_all()
    {
        var random = new SplitMix64(2);
        var (all, left, right) = (new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram());
        for (var n = 0; n < 1000; n++)
        {
            var us = random.Next(1_000_000);
            all.Record(us);
            (n % 3 == 0 ? left : right).Record(us);
        }

        left.Add(right);
        Assert.Equal(all.Count, left.Count);
        Assert.Equal(all.MaxUs, left.MaxUs);
        for (var q = 0.0; q <= 1; q += 0.05)
            Assert.Equal(all.QuantileMs(q), left.QuantileMs(q));
    }
}
