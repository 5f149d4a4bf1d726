namespace KdServing.Serving.Transport;

/// <summary>Sees to it that sockets are looked at while all <see cref="RankingThreads"/> rank for long, or hang: a thread of the pool does it then.</summary>
/// <remarks>Sleeps while there is always somebody idle.</remarks>
internal sealed class ThreadWatch
{
    /// <summary>Longest time that nobody looks; a request of 1,000 candidates takes less.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(2);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(1);
    private const int QuietSteps = 100;

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
            for (var quiet = 0; quiet < QuietSteps && !isStopped; quiet = threads.Idle > 0 ? quiet + 1 : 0)
            {
                Thread.Sleep(Step);
                if (threads.Idle == 0 && threads.SinceLook > Patience)
                    ThreadPool.UnsafeQueueUserWorkItem(threads, preferLocal: false);
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
