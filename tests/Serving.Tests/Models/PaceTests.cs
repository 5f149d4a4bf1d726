using System.Diagnostics;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>Rests come after bites of work, and end when there were enough of them.</summary>
public sealed class PaceTests
{
    [Fact]
    public void It_rests_after_a_bite()
    {
        var pace = new Pace();
        pace.Begin(rests: true);
        Assert.Equal(Pace.MostRests, pace.Left);

        Work();
        pace.Rest();

        Assert.InRange(pace.Left, TimeSpan.MinValue, Pace.MostRests - TimeSpan.FromMilliseconds(0.9));
    }

    [Fact]
    public void It_rests_for_so_long_in_all()
    {
        var pace = new Pace();
        pace.Begin(rests: true);
        var rests = 0;
        for (; pace.Left > TimeSpan.Zero; rests++)
        {
            Work();
            pace.Rest();
        }
        Assert.InRange(rests, 1, 300);
        var spent = pace.Left;
        Work();
        pace.Rest();
        Assert.Equal(spent, pace.Left);
    }

    [Fact]
    public void Where_nobody_gains_it_does_not_rest()
    {
        var pace = new Pace();
        pace.Begin(rests: false);
        Work();
        pace.Rest();
        Assert.Equal(TimeSpan.Zero, pace.Left);
    }

    private static void Work()
    {
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Pace.Bite)
            Thread.SpinWait(10);
    }
}
