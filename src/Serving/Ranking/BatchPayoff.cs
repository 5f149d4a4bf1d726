namespace KdServing.Serving.Ranking;

/// <summary>What becomes of a request that could be scored together with others.</summary>
internal enum BatchChoice
{
    /// <summary>It waits for others.</summary>
    Together,

    /// <summary>It is scored at once by itself, to compare.</summary>
    Alone,

    /// <summary>It goes the ordinary way: batching has not helped lately.</summary>
    Bypass,
}

/// <summary>Finds out on the requests themselves whether batching helps, and stops it for a while when it does not. Any thread.</summary>
/// <remarks>
/// One request in 32 is scored alone, so that both ways are measured on the same traffic. After each 32 batches the question is asked: were
/// there at least 1.25 requests a batch, and did a candidate take at most 0.95 of the time it takes alone? If not, batching pauses: for a
/// second first, twice as long each time the 32 batches after a pause fail again, 16 s at most.
/// </remarks>
internal sealed class BatchPayoff(TimeProvider clock)
{
    public const int ControlStride = 32;
    public const int Window = 32;
    public const double LeastRequests = 1.25;
    public const double MostTimeShare = 0.95;
    // Fewer say nothing: one descheduled run would decide.
    public const int LeastControls = 4;

    public static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(16);

    private readonly Lock gate = new();
    private uint turn;
    private int batches;
    private int requests;
    private Work together;
    private Work alone;
    private TimeSpan pause;
    private TimeSpan nextPause = FirstPause;
    private bool paused;
    private long pausedAt;

    /// <summary>False while requests go the ordinary way.</summary>
    public bool IsOn => !Volatile.Read(ref paused);

    /// <summary>For the next request.</summary>
    public BatchChoice Next()
    {
        if (Volatile.Read(ref paused))
        {
            lock (gate)
            {
                if (paused && clock.GetElapsedTime(pausedAt) < pause)
                    return BatchChoice.Bypass;
                paused = false;
            }
        }
        return Interlocked.Increment(ref turn) % ControlStride == 0 ? BatchChoice.Alone : BatchChoice.Together;
    }

    /// <summary>A run that is done.</summary>
    /// <param name="isControl">It was chosen to be alone; else, one request means that nobody else came.</param>
    public void Record(int requests, int candidates, TimeSpan elapsed, bool isControl)
    {
        lock (gate)
        {
            if (requests == 1)
                alone.Add(candidates, elapsed);
            else
                together.Add(candidates, elapsed);
            if (isControl)
                return;
            batches++;
            this.requests += requests;
            if (batches == Window)
                Decide();
        }
    }

    private void Decide()
    {
        if (requests >= LeastRequests * Window && !IsSlower())
        {
            nextPause = FirstPause;
        }
        else
        {
            (paused, pausedAt, pause) = (true, clock.GetTimestamp(), nextPause);
            nextPause = TimeSpan.FromTicks(Math.Min(2 * pause.Ticks, LongestPause.Ticks));
        }
        (batches, requests) = (0, 0);
        together.Age();
        alone.Age();
    }

    private bool IsSlower() => alone.Runs >= LeastControls && together.Candidates > 0
        && together.Seconds * alone.Candidates > MostTimeShare * alone.Seconds * together.Candidates;

    private struct Work
    {
        public double Runs;
        public double Candidates;
        public double Seconds;

        public void Add(int candidates, TimeSpan elapsed)
        {
            Runs++;
            Candidates += candidates;
            Seconds += elapsed.TotalSeconds;
        }

        // What was measured long ago counts ever less.
        public void Age() => (Runs, Candidates, Seconds) = (Runs / 2, Candidates / 2, Seconds / 2);
    }
}
