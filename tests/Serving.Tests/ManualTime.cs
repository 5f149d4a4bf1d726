namespace KdServing.Serving.Tests;

/// <summary>Time that stands still until a test moves it; timers fire inside <see cref="Advance"/>. Any thread sets timers, one moves the time.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly List<ManualTimer> timers = [];
    private readonly Lock gate = new();
    private long now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref now);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, () => callback(state));
        lock (gate)
            timers.Add(timer);
        timer.Change(dueTime, period);
        return timer;
    }

    public void Advance(TimeSpan time)
    {
        List<ManualTimer> due;
        lock (gate)
        {
            now += time.Ticks;
            due = [.. timers.Where(t => t.IsDue)];
        }
        foreach (var timer in due)
            timer.Fire();
    }

    private sealed class ManualTimer(ManualTime time, Action callback) : ITimer
    {
        private long dueAt = long.MaxValue;

        public bool IsDue => Volatile.Read(ref dueAt) <= time.now;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Volatile.Write(ref dueAt, dueTime == Timeout.InfiniteTimeSpan ? long.MaxValue : time.GetTimestamp() + dueTime.Ticks);
            return true;
        }

        public void Fire()
        {
            Volatile.Write(ref dueAt, long.MaxValue);
            callback();
        }

        public void Dispose() => Volatile.Write(ref dueAt, long.MaxValue);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
