namespace KdServing.Serving.Ranking;

/// <summary>Finds out on the requests themselves whether batching helps, and uses it only while it does. Any thread.</summary>
/// <remarks>
/// From time to time a trial: a slice of 100 ms as now, one the other way, one as now. Batching is used from then on if with it clearly more
/// requests were answered, or as many, each 5 % sooner. What a request waits for others, what it costs to hand it from thread to thread, and
/// what is saved of a run are all in these two figures. It begins without, and needs some traffic to be tried at all. After a change the next
/// trial comes in a second; while trials say the same again, ever later, 8 s at most.
/// </remarks>
internal sealed class BatchPayoff(TimeProvider clock)
{
    // Requests a slice: fewer than these a slice apart have nobody to share a run with.
    public const int LeastRequests = 16;
    public const double WorthwhileShare = 0.05;

    // Long beside a queue of --max-queue-ms (20), short beside a change of traffic.
    public static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(100);
    public static readonly TimeSpan FirstRest = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan LongestRest = TimeSpan.FromSeconds(8);

    // Counts of independent arrivals scatter by their square root.
    private const double ClearDeviations = 3;

    private readonly Lock gate = new();
    private readonly Measure[] measures = new Measure[Enum.GetValues<Phase>().Length];
    private Phase phase = Phase.Before;
    private long phaseBegan = clock.GetTimestamp();
    private TimeSpan phaseTime = Slice;
    private TimeSpan rest = FirstRest;
    private bool isOn;

    private enum Phase
    {
        Before,
        Trial,
        After,
        Rest,
    }

    /// <summary>What the last trial decided.</summary>
    public bool IsOn => Volatile.Read(ref isOn);

    /// <summary>Whether the next request is to be batched.</summary>
    public bool Next()
    {
        lock (gate)
        {
            var now = clock.GetTimestamp();
            if (clock.GetElapsedTime(phaseBegan, now) >= phaseTime)
                Advance(now);
            return IsBatched;
        }
    }

    /// <summary>A request is answered.</summary>
    /// <param name="elapsed">Since it came.</param>
    public void Answered(bool isBatched, TimeSpan elapsed)
    {
        lock (gate)
        {
            // What began in the slice before says nothing of this one.
            if (isBatched == IsBatched)
                measures[(int)phase].Add(elapsed);
        }
    }

    private bool IsBatched => isOn != (phase == Phase.Trial);

    private void Advance(long now)
    {
        measures[(int)phase].Seconds = clock.GetElapsedTime(phaseBegan, now).TotalSeconds;
        if (phase == Phase.After)
            Decide();
        // Too few to try it, or to go on with it.
        else if (phase == Phase.Before && measures[(int)Phase.Before].Requests < LeastRequests)
            Settle(false);
        else
            phase = phase == Phase.Rest ? Phase.Before : phase + 1;
        phaseBegan = now;
        phaseTime = phase == Phase.Rest ? rest : Slice;
        measures[(int)phase] = default;
    }

    private void Decide()
    {
        var asNow = measures[(int)Phase.Before].With(measures[(int)Phase.After]);
        var otherWay = measures[(int)Phase.Trial];
        Settle(isOn ? Helps(asNow, otherWay) : Helps(otherWay, asNow));
    }

    private void Settle(bool next)
    {
        rest = next == isOn ? TimeSpan.FromTicks(Math.Min(2 * rest.Ticks, LongestRest.Ticks)) : FirstRest;
        Volatile.Write(ref isOn, next);
        phase = Phase.Rest;
    }

    private static bool Helps(in Measure with, in Measure without)
    {
        if (Math.Min(with.Requests, without.Requests) < LeastRequests)
            return false;
        var scatter = ClearDeviations * Math.Sqrt(with.Rate / with.Seconds + without.Rate / without.Seconds);
        if (with.Rate > (1 + WorthwhileShare) * without.Rate + scatter)
            return true;
        return with.Rate >= without.Rate - scatter && with.MeanSeconds <= (1 - WorthwhileShare) * without.MeanSeconds;
    }

    private struct Measure
    {
        public double Requests;
        public double Seconds;
        private double responseSeconds;

        public readonly double Rate => Requests / Seconds;

        public readonly double MeanSeconds => responseSeconds / Requests;

        public void Add(TimeSpan elapsed)
        {
            Requests++;
            responseSeconds += elapsed.TotalSeconds;
        }

        public readonly Measure With(in Measure other) => new()
        {
            Requests = Requests + other.Requests,
            Seconds = Seconds + other.Seconds,
            responseSeconds = responseSeconds + other.responseSeconds,
        };
    }
}
