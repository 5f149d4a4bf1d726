using KdServing.Serving.Status;

namespace KdServing.Serving.Tests.Status;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void Quantiles_are_within_three_percent()
    {
        var histogram = new LatencyHistogram();
        var random = new Random(1);
        var values = Enumerable.Range(0, 20_000).Select(_ => Math.Exp(random.NextDouble() * 12)).ToArray();
        foreach (var us in values)
            histogram.Record(TimeSpan.FromMicroseconds(us));
        Array.Sort(values);
        var counts = histogram.Snapshot();
        foreach (var share in (double[])[0.1, 0.5, 0.9, 0.99, 0.999])
        {
            var exact = values[(int)Math.Ceiling(share * values.Length) - 1] / 1000;
            Assert.InRange(LatencyHistogram.QuantileMs(counts, share), exact * 0.97 - 0.001, exact * 1.035 + 0.001);
        }
        Assert.Equal(values[^1] / 1000, histogram.MaxMs, 0.001);
    }

    [Fact]
    public void Holds_everything_from_nothing_to_an_hour()
    {
        var histogram = new LatencyHistogram();
        Assert.Equal(0, LatencyHistogram.QuantileMs(histogram.Snapshot(), 0.5));
        histogram.Record(TimeSpan.Zero);
        histogram.Record(TimeSpan.FromDays(1));
        histogram.Record(TimeSpan.FromTicks(-5));
        Assert.Equal(3, histogram.Snapshot().Sum());
        Assert.Equal(int.MaxValue / 1000.0, histogram.MaxMs);
    }
}
