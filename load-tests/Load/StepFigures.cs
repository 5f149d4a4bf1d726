using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>A swap as the report shows it. Times are seconds from the start of its step.</summary>
/// <param name="FromSeconds">Start of the window in which it can disturb requests.</param>
/// <param name="ToSeconds">End of the window.</param>
/// <param name="FirstReplySeconds">When the version's first reply came.</param>
internal sealed record SwapMark(long Version, double FromSeconds, double ToSeconds, double FirstReplySeconds);

/// <summary>A stretch of a step.</summary>
/// <param name="AtSeconds">Its beginning; requests belong to it by their intended time.</param>
internal sealed record TimelinePoint(double AtSeconds, long Served, long Errors, double P50Ms, double P99Ms, double MaxMs, long Version);

/// <summary>What a step's samples say.</summary>
internal sealed class StepFigures
{
    // Enough points for a plot, wide enough for a percentile.
    private const int TimelinePoints = 200;
    private const double ShortestPointSeconds = 0.1;

    /// <param name="seconds">Its planned length.</param>
    /// <param name="swapWindow">First reply of a version → window in which its swap can disturb; unix ms.</param>
    /// <param name="versionBefore">Newest version known before the step; 0: none.</param>
    public StepFigures(StepSamples samples, double seconds, Func<VersionReplies, (double FromMs, double ToMs)> swapWindow, long versionBefore)
    {
        Samples = samples;
        Seconds = seconds;
        var errors = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var first = new SortedDictionary<int, (double AtMs, long Replies)>();
        foreach (var sample in samples.Samples)
        {
            if (sample.Outcome != Outcome.InFlightLimit)
                SendDelay.Record(sample.SendDelayNs / 1000);
            if (sample.Outcome != Outcome.Served)
            {
                errors[sample.Outcome.Name()] = errors.GetValueOrDefault(sample.Outcome.Name()) + 1;
                if (sample.Outcome == Outcome.ResourceExhausted)
                    Refused.Record(sample.LatencyUs - sample.SendDelayNs / 1000);
                continue;
            }
            Latency.Record(sample.LatencyUs);
            if (samples.SecondsOf(sample.DoneNs) <= seconds)
                servedInTime++;
            var (atMs, replies) = first.GetValueOrDefault(sample.Version, (double.MaxValue, 0));
            first[sample.Version] = (Math.Min(atMs, samples.UnixMsOf(sample.DoneNs)), replies + 1);
        }
        Errors = errors;
        Versions = [.. first.Select(v => new VersionReplies(v.Key, (long)v.Value.AtMs, 0, v.Value.Replies))];
        var known = versionBefore > 0 ? versionBefore : Versions.Count > 0 ? Versions[0].Version : 0;
        Swaps = [.. Versions.Where(v => v.Version > known).Select(v =>
        {
            var (from, to) = swapWindow(v);
            return new SwapMark(v.Version, (from - samples.BeginUnixMs) / 1000, (to - samples.BeginUnixMs) / 1000, (v.FirstReplyUnixMs - samples.BeginUnixMs) / 1000.0);
        })];
        SplitBySwaps();
        Timeline = MakeTimeline();
    }

    private long servedInTime;

    public StepSamples Samples { get; }

    public double Seconds { get; }

    public long Requests => Samples.Samples.Length;

    public long ErrorCount => Errors.Values.Sum();

    public IReadOnlyDictionary<string, long> Errors { get; }

    public IReadOnlyList<VersionReplies> Versions { get; }

    public IReadOnlyList<SwapMark> Swaps { get; }

    public IReadOnlyList<TimelinePoint> Timeline { get; }

    /// <summary>Served requests, from the intended send time.</summary>
    public LatencyHistogram Latency { get; } = new();

    /// <summary>Requests refused with RESOURCE_EXHAUSTED, from the actual send.</summary>
    public LatencyHistogram Refused { get; } = new();

    /// <summary>From the intended to the actual send: the generator's own part, and flow control's.</summary>
    public LatencyHistogram SendDelay { get; } = new();

    /// <summary>Served requests that were under way while a swap could disturb them.</summary>
    public LatencyHistogram DuringSwap { get; } = new();

    public LatencyHistogram OutsideSwap { get; } = new();

    /// <summary>Replies a second that came while the step lasted.</summary>
    public double Rps => servedInTime / Seconds;

    private void SplitBySwaps()
    {
        foreach (var sample in Samples.Samples)
        {
            if (sample.Outcome != Outcome.Served)
                continue;
            var (from, to) = (Samples.SecondsOf(sample.IntendedNs), Samples.SecondsOf(sample.DoneNs));
            var inside = false;
            foreach (var swap in Swaps)
                inside |= from <= swap.ToSeconds && to >= swap.FromSeconds;
            (inside ? DuringSwap : OutsideSwap).Record(sample.LatencyUs);
        }
    }

    private List<TimelinePoint> MakeTimeline()
    {
        var width = Math.Max(ShortestPointSeconds, Seconds / TimelinePoints);
        var points = new List<TimelinePoint>();
        var next = 0;
        var all = Samples.Samples;
        for (var begin = 0.0; begin < Seconds && next < all.Length; begin += width)
        {
            var part = new LatencyHistogram();
            var (errors, version) = (0L, 0L);
            for (; next < all.Length && Samples.SecondsOf(all[next].IntendedNs) < begin + width; next++)
            {
                if (all[next].Outcome == Outcome.Served)
                    part.Record(all[next].LatencyUs);
                else
                    errors++;
                version = Math.Max(version, all[next].Version);
            }
            points.Add(new(begin, part.Count, errors, part.QuantileMs(0.5), part.QuantileMs(0.99), part.MaxUs / 1000.0, version));
        }
        return points;
    }
}
