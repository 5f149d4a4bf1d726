namespace KdServing.LoadTests.Load;

/// <summary>What a step is doing now, for who watches.</summary>
/// <param name="Seconds">Since its start.</param>
/// <param name="Of">Its length.</param>
/// <param name="Sent">Requests intended so far.</param>
internal readonly record struct StepProgress(string Name, double Seconds, double Of, long Sent, int InFlight, long Version);

/// <summary>Drives the connections through one step after another.</summary>
/// <param name="requests">Requests of the pool the connections were opened with.</param>
/// <param name="inFlightMax">Requests under way at most; what is due beyond is logged as <see cref="Outcome.InFlightLimit"/>.</param>
/// <param name="tickUs">Open loops: what is due within so many microseconds is sent together, so long after the first; 0: each when it is due.</param>
internal sealed class LoadRunner(IReadOnlyList<LoadConnection> connections, VersionsSeen versions, int requests, int inFlightMax, int tickUs, int abandonMs,
    Action<StepProgress> progress)
{
    private const long LeadNs = 20_000_000;
    private const long SweepNs = 10_000_000;
    // What is due at one moment, or while this thread was kept from running, is sent together: so many at most.
    private const int Together = 64;
    private const long ProgressNs = 200_000_000;

    private readonly IReadOnlyList<LoadConnection> connections = connections;
    private readonly VersionsSeen versions = versions;
    private readonly Action<StepProgress> progress = progress;
    private long next;

    /// <summary>Open loop: requests at times fixed in advance; what the server does never moves them.</summary>
    /// <param name="nextSeconds">The next intended time, seconds from the start of the step; never decreases.</param>
    public Task<StepSamples> OpenAsync(string name, Func<double> nextSeconds, double seconds, CancellationToken stop) => RunAsync(name, begin =>
    {
        var sweep = new Sweep(this, name, begin, seconds);
        var sent = 0L;
        for (var at = nextSeconds(); at < seconds && !stop.IsCancellationRequested; at = nextSeconds())
        {
            var due = begin + (long)(at * 1e9);
            var isAhead = due > MonotonicClock.NowNs();
            if (isAhead || sent % Together == 0)
                Send();
            var until = isAhead ? due + tickUs * 1000L : due;
            for (var now = MonotonicClock.NowNs(); until > now && !stop.IsCancellationRequested; now = MonotonicClock.NowNs())
            {
                MonotonicClock.SleepUntil(Math.Min(until, now + SweepNs));
                sweep.Look(sent);
            }
            var connection = connections[(int)(sent++ % connections.Count)];
            if (InFlight >= inFlightMax)
                connection.Skip(due, Outcome.InFlightLimit);
            else
                connection.Submit((int)(next++ % requests), due);
            sweep.Look(sent);
        }
        Send();
        Finish(sweep, sent);
    });

    /// <summary>Closed loop: so many requests in flight at any time.</summary>
    public Task<StepSamples> ClosedAsync(string name, int concurrency, double seconds, CancellationToken stop) => RunAsync(name, begin =>
    {
        var end = begin + (long)(seconds * 1e9);
        var used = Math.Min(connections.Count, concurrency);
        var sent = 0L;
        for (var c = 0; c < used; c++)
        {
            var share = Share(c);
            connections[c].Answered = (connection, answered) => Fill(connection, share, answered);
        }
        var sweep = new Sweep(this, name, begin, seconds);
        while (MonotonicClock.NowNs() < end && !stop.IsCancellationRequested)
        {
            // The first ones, and again whoever was lost with its connection.
            for (var c = 0; c < used; c++)
                Fill(connections[c], Share(c), concurrency);
            MonotonicClock.SleepUntil(MonotonicClock.NowNs() + SweepNs);
            sweep.Look(Interlocked.Read(ref sent));
        }
        Finish(sweep, sent);
        foreach (var connection in connections)
            connection.Answered = null;

        int Share(int connection) => concurrency / used + (connection < concurrency % used ? 1 : 0);

        // Who receives and who sweeps both see a place that is free; one of them takes it.
        void Fill(LoadConnection connection, int share, int most)
        {
            lock (connection)
            {
                for (; most > 0 && connection.InFlight < share && MonotonicClock.NowNs() < end && !stop.IsCancellationRequested; most--)
                {
                    Interlocked.Increment(ref sent);
                    connection.Submit((int)(Interlocked.Increment(ref next) % requests), MonotonicClock.NowNs());
                }
                connection.Send();
            }
        }
    });

    private int InFlight
    {
        get
        {
            var sum = 0;
            for (var c = 0; c < connections.Count; c++)
                sum += connections[c].InFlight;
            return sum;
        }
    }

    private void Send()
    {
        for (var c = 0; c < connections.Count; c++)
            connections[c].Send();
    }

    // Waits for the replies under way; who does not answer is given up.
    private void Finish(Sweep sweep, long sent)
    {
        var until = MonotonicClock.NowNs() + (abandonMs + 1000) * 1_000_000L;
        while (InFlight > 0 && MonotonicClock.NowNs() < until)
        {
            MonotonicClock.SleepUntil(MonotonicClock.NowNs() + SweepNs / 5);
            sweep.Look(sent);
        }
    }

    // On a thread of its own: the pool's are for the replies of others.
    private Task<StepSamples> RunAsync(string name, Action<long> step)
    {
        var done = new TaskCompletionSource<StepSamples>(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                MonotonicClock.SleepPrecisely();
                var begin = MonotonicClock.NowNs() + LeadNs;
                var beginUnixMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() + LeadNs / 1_000_000;
                step(begin);
                var samples = connections.SelectMany(c => c.TakeSamples()).ToArray();
                Array.Sort(samples, static (a, b) => a.IntendedNs.CompareTo(b.IntendedNs));
                done.SetResult(new(name, begin, beginUnixMs, samples));
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { IsBackground = true, Name = "load-send" }.Start();
        return done.Task;
    }

    // Now and then while a step runs: who waits too long is given up, and who watches is told.
    private struct Sweep(LoadRunner runner, string name, long begin, double seconds)
    {
        private long sweptNs;
        private long shownNs;

        public void Look(long sent)
        {
            var now = MonotonicClock.NowNs();
            if (now - sweptNs > SweepNs)
            {
                sweptNs = now;
                for (var c = 0; c < runner.connections.Count; c++)
                    runner.connections[c].Expire(now);
            }
            if (now - shownNs > ProgressNs)
            {
                shownNs = now;
                runner.progress(new(name, (now - begin) / 1e9, seconds, sent, runner.InFlight, runner.versions.Newest));
            }
        }
    }
}

/// <summary>A step's requests in the order of their intended times.</summary>
/// <param name="BeginNs">Its start by <see cref="MonotonicClock"/>.</param>
/// <param name="BeginUnixMs">The same moment since the Unix epoch.</param>
internal sealed record StepSamples(string Name, long BeginNs, long BeginUnixMs, Sample[] Samples)
{
    public double SecondsOf(long ns) => (ns - BeginNs) / 1e9;

    public double UnixMsOf(long ns) => BeginUnixMs + (ns - BeginNs) / 1e6;
}
