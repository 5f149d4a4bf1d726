using System.Numerics;

namespace KdServing.LoadTests.Traffic;

/// <summary>Counts latencies in buckets that widen with the value: every quantile is right to within 1/128 (0.8 %). Not thread-safe.</summary>
/// <remarks>
/// Log-linear as in HdrHistogram (Gil Tene): below 2^7 µs one bucket a microsecond, above it 128 buckets for each doubling. 30 doublings
/// reach 18 minutes; longer ones are counted in the last bucket, and <see cref="MaxUs"/> is always exact.
/// </remarks>
public sealed class LatencyHistogram
{
    private const int SubBucketBits = 7;
    private const int SubBuckets = 1 << SubBucketBits;
    private const int Doublings = 24;

    private readonly long[] _counts = new long[SubBuckets * (Doublings + 1)];

    public long Count { get; private set; }

    public long MaxUs { get; private set; }

    public double MeanUs => Count == 0 ? 0 : _sumUs / Count;

    private double _sumUs;

    public void Record(long us)
    {
        us = Math.Max(0, us);
        _counts[Bucket(us)]++;
        Count++;
        _sumUs += us;
        MaxUs = Math.Max(MaxUs, us);
    }

    public void Add(LatencyHistogram other)
    {
        for (var i = 0; i < _counts.Length; i++)
            _counts[i] += other._counts[i];
        Count += other.Count;
        _sumUs += other._sumUs;
        MaxUs = Math.Max(MaxUs, other.MaxUs);
    }

    public LatencyHistogram Copy()
    {
        var copy = new LatencyHistogram();
        copy.Add(this);
        return copy;
    }

    /// <summary>The value that a share of the recorded ones do not exceed, in milliseconds; 0 when nothing was recorded.</summary>
    /// <param name="quantile">0 to 1, e.g. 0.99.</param>
    public double QuantileMs(double quantile)
    {
        var rank = Math.Max(1, (long)Math.Ceiling(quantile * Count));
        var seen = 0L;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank && Count > 0)
                return Math.Min(UpperUs(i), MaxUs) / 1000.0;
        }

        return 0;
    }

    private static int Bucket(long us)
    {
        var doubling = Math.Max(0, 63 - SubBucketBits - BitOperations.LeadingZeroCount((ulong)us) + 1);
        return doubling > Doublings - 1
            ? (SubBuckets * (Doublings + 1)) - 1
            : doubling == 0 ? (int)us : (SubBuckets * doubling) + (int)(us >> (doubling - 1)) - SubBuckets;
    }

    // The largest value that falls into a bucket.
    private static long UpperUs(int bucket)
    {
        var doubling = bucket / SubBuckets;
        return doubling == 0 ? bucket : ((((long)(bucket % SubBuckets) + SubBuckets + 1) << (doubling - 1)) - 1);
    }
}
