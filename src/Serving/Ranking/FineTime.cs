using System.Diagnostics;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Ranking;

/// <summary>The system's time, with timers that keep to microseconds; those of .NET count milliseconds.</summary>
/// <remarks>
/// One thread sleeps until the earliest timer is due, on a semaphore of the C library, so that an earlier one wakes it. Callbacks run on the
/// thread pool. Timers are one-shot. Any thread; disposed after its timers.
/// </remarks>
public sealed unsafe partial class FineTime : TimeProvider, IDisposable
{
    private const int SemaphoreBytes = 64; // sem_t has 32
    private const int ClockMonotonic = 1;
    private const int SetTimerSlack = 29; // PR_SET_TIMERSLACK
    private const long NanosecondsPerTick = 100;

    private readonly List<FineTimer> armed = [];
    private readonly Lock gate = new();
    private readonly nint semaphore;
    private readonly Thread thread;
    // What the thread sleeps until, in ticks of the monotonic clock.
    private long wakesAt = long.MaxValue;
    private bool disposed;

    public FineTime()
    {
        semaphore = (nint)NativeMemory.AlignedAlloc(SemaphoreBytes, SemaphoreBytes);
        if (InitialiseSemaphore(semaphore, 0, 0) != 0)
            throw new PlatformNotSupportedException("sem_init failed");
        thread = new(Run) { IsBackground = true, Name = "kd-timers" };
        thread.Start();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (period != Timeout.InfiniteTimeSpan)
            throw new NotSupportedException("timers are one-shot");
        var timer = new FineTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
        }
        _ = Post(semaphore);
        thread.Join();
        _ = DestroySemaphore(semaphore);
        NativeMemory.AlignedFree((void*)semaphore);
    }

    private void Arm(FineTimer timer, TimeSpan dueTime)
    {
        lock (gate)
        {
            armed.Remove(timer);
            if (disposed || dueTime == Timeout.InfiniteTimeSpan)
                return;
            timer.DueAt = Now() + dueTime.Ticks;
            armed.Add(timer);
            if (timer.DueAt >= wakesAt)
                return;
            wakesAt = timer.DueAt;
            // Inside the lock: the semaphore lives as long as nobody has seen the end.
            _ = Post(semaphore);
        }
    }

    private void Run()
    {
        // By default Linux wakes a sleeper up to 50 µs late, to wake several at once.
        _ = SetProcessOption(SetTimerSlack, 1, 0, 0, 0);
        while (true)
        {
            lock (gate)
            {
                if (disposed)
                    return;
                var now = Now();
                wakesAt = long.MaxValue;
                for (var i = armed.Count - 1; i >= 0; i--)
                {
                    if (armed[i].DueAt > now)
                    {
                        wakesAt = Math.Min(wakesAt, armed[i].DueAt);
                        continue;
                    }
                    ThreadPool.UnsafeQueueUserWorkItem(armed[i], preferLocal: false);
                    armed.RemoveAt(i);
                }
            }
            Sleep();
        }
    }

    private void Sleep()
    {
        // Read without the lock: whoever makes it earlier posts, and the sleep ends at once.
        var until = Volatile.Read(ref wakesAt);
        if (until == long.MaxValue)
        {
            _ = Wait(semaphore);
            return;
        }
        var time = new TimeSpec(until / TimeSpan.TicksPerSecond, until % TimeSpan.TicksPerSecond * NanosecondsPerTick);
        _ = WaitUntil(semaphore, ClockMonotonic, time);
    }

    // Stopwatch reads CLOCK_MONOTONIC in nanoseconds on Linux.
    private static long Now() => Stopwatch.GetTimestamp() / (Stopwatch.Frequency / TimeSpan.TicksPerSecond);

    private sealed class FineTimer(FineTime owner, TimerCallback callback, object? state) : ITimer, IThreadPoolWorkItem
    {
        public long DueAt;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            owner.Arm(this, dueTime);
            return true;
        }

        public void Execute() => callback(state);

        public void Dispose() => owner.Arm(this, Timeout.InfiniteTimeSpan);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }

    private readonly record struct TimeSpec(long Seconds, long Nanoseconds);

    [LibraryImport("libc", EntryPoint = "sem_init", SetLastError = true)]
    private static partial int InitialiseSemaphore(nint semaphore, int shared, uint value);

    [LibraryImport("libc", EntryPoint = "sem_destroy")]
    private static partial int DestroySemaphore(nint semaphore);

    [LibraryImport("libc", EntryPoint = "sem_post")]
    private static partial int Post(nint semaphore);

    [LibraryImport("libc", EntryPoint = "sem_wait")]
    private static partial int Wait(nint semaphore);

    // glibc 2.30; sem_timedwait would follow the wall clock's jumps.
    [LibraryImport("libc", EntryPoint = "sem_clockwait")]
    private static partial int WaitUntil(nint semaphore, int clock, in TimeSpec until);

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int SetProcessOption(int option, nuint value, nuint third, nuint fourth, nuint fifth);
}
