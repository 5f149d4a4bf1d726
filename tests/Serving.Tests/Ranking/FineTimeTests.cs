using System.Diagnostics;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Timers of less than a millisecond.</summary>
public sealed class FineTimeTests
{
    private static readonly TimeSpan Wait = TimeSpan.FromMicroseconds(200);

    // Never early; how late is up to the machine, so the best of many counts.
    [Fact]
    public async Task A_timer_keeps_to_microseconds()
    {
        using var time = new FineTime();
        var least = TimeSpan.MaxValue;
        for (var i = 0; i < 100; i++)
        {
            var fired = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
            var started = Stopwatch.GetTimestamp();
            using var timer = time.CreateTimer(_ => fired.SetResult(Stopwatch.GetTimestamp()), null, Wait, Timeout.InfiniteTimeSpan);
            var elapsed = Stopwatch.GetElapsedTime(started, await fired.Task);
            Assert.True(elapsed >= Wait, $"{elapsed.TotalMicroseconds} µs");
            least = elapsed < least ? elapsed : least;
        }
        Assert.True(least < TimeSpan.FromMilliseconds(1), $"{least.TotalMicroseconds} µs at best");
    }

    [Fact]
    public async Task An_earlier_timer_wakes_the_sleeper()
    {
        using var time = new FineTime();
        var (early, late) = (new TaskCompletionSource(), new TaskCompletionSource());
        using var first = time.CreateTimer(_ => late.SetResult(), null, TimeSpan.FromHours(1), Timeout.InfiniteTimeSpan);
        using var second = time.CreateTimer(_ => early.SetResult(), null, Wait, Timeout.InfiniteTimeSpan);
        await early.Task.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.False(late.Task.IsCompleted);
    }

    [Fact]
    public async Task A_timer_put_off_does_not_fire_and_may_be_set_again()
    {
        using var time = new FineTime();
        var fired = new TaskCompletionSource();
        using var timer = time.CreateTimer(_ => fired.SetResult(), null, TimeSpan.FromHours(1), Timeout.InfiniteTimeSpan);
        timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        using var other = time.CreateTimer(_ => { }, null, Wait, Timeout.InfiniteTimeSpan);
        timer.Change(Wait, Timeout.InfiniteTimeSpan);
        await fired.Task.WaitAsync(TimeSpan.FromSeconds(30));
    }
}
