namespace KdServing.Serving.Transport;

/// <summary>Sees to it that sockets are looked at while all <see cref="RankingThreads"/> rank for long, or hang: a thread of the pool does it then.</summary>
/// <remarks>
/// Sleeps while there is always somebody idle. While requests are short somebody looks between any two of them, and it comes by ever more rarely (<see cref="WatchRhythm"/>): each time it takes a core from one who ranks.
/// </remarks>
internal sealed class ThreadWatch
{
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
            var rhythm = new WatchRhythm();
            while (!rhythm.MaySleep && !isStopped)
            {
                Thread.Sleep(rhythm.Pause);
                if (rhythm.IsNeeded(threads.Idle == 0, threads.SinceLook))
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
