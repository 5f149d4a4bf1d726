using KdServing.Serving.Transport;

namespace KdServing.Serving.Tests.Transport;

public sealed class WatchRhythmTests
{
    private static readonly TimeSpan JustNow = TimeSpan.FromMilliseconds(0.2);
    private static readonly TimeSpan TooLong = WatchRhythm.Patience + TimeSpan.FromTicks(1);

    [Fact]
    public void It_comes_by_ever_more_rarely_while_somebody_looks_between_requests()
    {
        var rhythm = new WatchRhythm();
        var pauses = new List<double>();
        for (var i = 0; i < 6; i++)
        {
            pauses.Add(rhythm.Pause.TotalMilliseconds);
            Assert.False(rhythm.IsNeeded(areBusy: true, JustNow));
        }
        Assert.Equal([1, 2, 4, 8, 8, 8], pauses);
        Assert.False(rhythm.MaySleep);
    }

    [Fact]
    public void It_comes_by_often_again_before_it_is_needed()
    {
        var rhythm = Rare();

        Assert.False(rhythm.IsNeeded(areBusy: true, WatchRhythm.Patience));
        Assert.Equal(WatchRhythm.Shortest, rhythm.Pause);
    }

    // Again and again: who looks in their place may hang in its turn.
    [Fact]
    public void Somebody_has_to_look_for_as_long_as_all_are_busy_and_nobody_does()
    {
        var rhythm = Rare();
        for (var i = 0; i < 3; i++)
        {
            Assert.True(rhythm.IsNeeded(areBusy: true, TooLong));
            Assert.Equal(WatchRhythm.Shortest, rhythm.Pause);
        }
    }

    // Who is idle waits for the sockets, and looks when there is something.
    [Fact]
    public void Nobody_else_has_to_while_somebody_is_idle()
    {
        var rhythm = new WatchRhythm();

        Assert.False(rhythm.IsNeeded(areBusy: false, TimeSpan.FromHours(1)));
        Assert.Equal(2 * WatchRhythm.Shortest, rhythm.Pause);
    }

    [Fact]
    public void It_may_sleep_once_somebody_has_been_idle_each_time_for_a_tenth_of_a_second()
    {
        var rhythm = new WatchRhythm();
        var passed = TimeSpan.Zero;
        for (; !rhythm.MaySleep; rhythm.IsNeeded(areBusy: false, JustNow))
            passed += rhythm.Pause;
        Assert.InRange(passed.TotalMilliseconds, 100, 108);

        rhythm.IsNeeded(areBusy: true, JustNow);
        Assert.False(rhythm.MaySleep);
    }

    private static WatchRhythm Rare()
    {
        var rhythm = new WatchRhythm();
        while (rhythm.Pause < WatchRhythm.Longest)
            rhythm.IsNeeded(areBusy: true, JustNow);
        return rhythm;
    }
}
