using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Traffic;

public class ArrivalScheduleTests
{
    [Fact]
    public void Constant_arrivals_are_even()
    {
        var schedule = new ArrivalSchedule(ratePerSecond: 4, Arrivals.Constant, seed: 1);
        Assert.Equal([0, 0.25, 0.5, 0.75], Enumerable.Range(0, 4).Select(_ => schedule.NextSeconds()));
    }

    [Fact]
    public void Poisson_arrivals_have_the_rate_and_the_spread_of_independent_users()
    {
        const int n = 40_000;
        var schedule = new ArrivalSchedule(ratePerSecond: 100, Arrivals.Poisson, seed: 1);
        var times = Enumerable.Range(0, n).Select(_ => schedule.NextSeconds()).ToList();
        var gaps = times.Zip(times.Skip(1), (a, b) => b - a).ToList();

        Assert.All(gaps, g => Assert.True(g >= 0));
        // Mean and standard deviation of exponential gaps are both 1 / rate; 4 standard errors.
        Assert.Equal(0.01, gaps.Average(), 4 * 0.01 / Math.Sqrt(n));
        Assert.Equal(0.01, Math.Sqrt(gaps.Average(g => (g - 0.01) * (g - 0.01))), 4 * 0.01 * Math.Sqrt(2.0 / n));
    }

    [Fact]
    public void The_same_seed_gives_the_same_times()
    {
        var (first, second) = (new ArrivalSchedule(50, Arrivals.Poisson, 9), new ArrivalSchedule(50, Arrivals.Poisson, 9));
        for (var n = 0; n < 100; n++)
            Assert.Equal(first.NextSeconds(), second.NextSeconds());
    }
}
