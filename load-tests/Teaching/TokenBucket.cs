namespace KdServing.LoadTests.Teaching;

/// <summary>Spaces batches at a rate that may change; time is given, not read, so that it can be reasoned about. One thread.</summary>
/// <remarks>Time that could not be used (the machine was busy, Redis away) is made up for by at most <paramref name="burstSeconds"/>.</remarks>
public sealed class TokenBucket(double burstSeconds = 0.5)
{
    private double tokens;
    private double lastSeconds = double.NaN;

    /// <summary>Impressions a second.</summary>
    public double Rate { get; set; } = 1;

    /// <summary>Seconds to wait until <paramref name="count"/> impressions may go; 0: take them now (they are taken).</summary>
    public double Take(int count, double nowSeconds)
    {
        if (double.IsNaN(lastSeconds))
            lastSeconds = nowSeconds;
        // A batch larger than the burst must still be able to go.
        tokens = Math.Min(tokens + Rate * (nowSeconds - lastSeconds), Math.Max(count, Rate * burstSeconds));
        lastSeconds = nowSeconds;
        // The tolerance keeps rounding from asking for waits of 1e-16 s.
        if (tokens >= count - 1e-6)
        {
            tokens -= count;
            return 0;
        }
        return (count - tokens) / Rate;
    }
}
