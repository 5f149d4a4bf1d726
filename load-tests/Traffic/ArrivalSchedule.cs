using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>How intended send times are spaced.</summary>
public enum Arrivals
{
    /// <summary>Evenly.</summary>
    Constant,

    /// <summary>Independently: exponential gaps, as from many users who do not know of each other.</summary>
    Poisson,
}

/// <summary>Intended send times, fixed before the first reply: what the server does never moves them (open loop).</summary>
public sealed class ArrivalSchedule(double ratePerSecond, Arrivals arrivals, int seed)
{
    private SplitMix64 _random = new(SplitMix64.Mix((ulong)seed));
    private long _number;
    private double _atSeconds;

    /// <summary>Seconds from the start to the next intended send.</summary>
    public double NextSeconds()
    {
        if (arrivals == Arrivals.Constant)
            return _number++ / ratePerSecond;
        _atSeconds -= Math.Log(1 - _random.NextDouble()) / ratePerSecond;
        return _atSeconds;
    }
}
