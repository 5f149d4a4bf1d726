namespace KdServing.Serving.Transport;

/// <summary>Sees to it that sockets are looked at while all <see cref="RankingThreads"/> rank for long, or hang: a thread of the pool does it then.</summary>
/// <remarks>
/// Sleeps while there is always somebody idle. While requests are short somebody looks between any two of them, and it comes by ever more rarely: each time it takes a core from one who ranks.
/// </remarks>
internal sealed class ThreadWatch
{
    /// <summary>Longest time that nobody looks; a request of 1,000 candidates takes less.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(2);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan LongestStep = TimeSpan.FromMilliseconds(8);
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(100);

    private readonly RankingThreads threads;
    private readonly object sync = new();
    private volatile bool isAsleep = true;
    private volatile bool isStopped;

    public ThreadWatch(RankingThreads threads)
    {
        this.threads = threads;
        new Thread(Run) { Name = "kd-watch", IsBackground = true }.Start();
    }

    /// <summary>Nobody is idle.</summary>
    public void AllAreBusy()
    {
        if (isAsleep)
            Wake();
    }

    public void Stop()
    {
        isStopped = true;
        Wake();
    }

    private void Run()
    {
        while (!isStopped)
        {
            Sleep();
            var (step, quiet) = (Step, TimeSpan.Zero);
            while (quiet < Quiet && !isStopped)
            {
                Thread.Sleep(step);
                var areBusy = threads.Idle == 0;
                quiet = areBusy ? TimeSpan.Zero : quiet + step;
                var sinceLook = areBusy ? threads.SinceLook : TimeSpan.Zero;
                if (sinceLook > Patience)
                    ThreadPool.UnsafeQueueUserWorkItem(threads, preferLocal: false);
                step = sinceLook > Step ? Step : TimeSpan.FromTicks(Math.Min(2 * step.Ticks, LongestStep.Ticks));
            }
        }
    }

    private void Sleep()
    {
        lock (sync)
        {
            isAsleep = true;
            // Who was busy before this could not see it asleep.
            while (isAsleep && !isStopped && threads.Idle > 0)
                Monitor.Wait(sync);
            isAsleep = false;
        }
    }

    private void Wake()
    {
        lock (sync)
        {
            isAsleep = false;
            Monitor.Pulse(sync);
        }
    }
}
