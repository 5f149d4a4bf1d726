using System.Numerics;

namespace KdServing.Serving.Status;

/// <summary>Counts durations in buckets that grow with them: quantiles to within 3 %, from 1 µs to an hour, in 9 KB. Any thread.</summary>
/// <remarks>The scheme of HdrHistogram: a bucket is the leading bit of the microseconds and the five bits after it.</remarks>
public sealed class LatencyHistogram
{
    private const int StepBits = 5;
    private const int Steps = 1 << StepBits;
    private const int MaxMicroseconds = int.MaxValue;

    private readonly long[] counts = new long[Bucket(MaxMicroseconds) + 1];
    private long maxUs;

    public double MaxMs => Volatile.Read(ref maxUs) / 1000.0;

    public void Record(TimeSpan duration)
    {
        var us = (long)Math.Clamp(duration.TotalMicroseconds, 0, MaxMicroseconds);
        Interlocked.Increment(ref counts[Bucket(us)]);
        var seen = Volatile.Read(ref maxUs);
        while (us > seen)
        {
            var was = Interlocked.CompareExchange(ref maxUs, us, seen);
            if (was == seen)
                return;
            seen = was;
        }
    }

    /// <summary>A copy of the counts, to take differences of.</summary>
    public long[] Snapshot() => [.. counts];

    /// <summary>Milliseconds below which a share of the counts lies; 0 when there are none.</summary>
    public static double QuantileMs(ReadOnlySpan<long> counts, double share)
    {
        var total = 0L;
        foreach (var count in counts)
            total += count;
        if (total == 0)
            return 0;
        var rank = Math.Max(1, (long)Math.Ceiling(share * total));
        for (var b = 0; b < counts.Length; b++)
        {
            rank -= counts[b];
            if (rank <= 0)
                return UpperUs(b) / 1000.0;
        }
        throw new InvalidOperationException("ranks end with the last bucket");
    }

    private static int Bucket(long us)
    {
        if (us < Steps)
            return (int)us;
        var shift = BitOperations.Log2((ulong)us) - StepBits;
        return (shift << StepBits) + (int)(us >> shift);
    }

    private static long UpperUs(int bucket)
    {
        if (bucket < Steps)
            return bucket;
        var shift = (bucket >> StepBits) - 1;
        return ((long)(bucket - (shift << StepBits)) << shift) + (1L << shift) - 1;
    }
}
