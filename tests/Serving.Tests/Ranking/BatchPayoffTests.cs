using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>When batching stops by itself, and when it is tried again.</summary>
public sealed class BatchPayoffTests
{
    private const int Candidates = 20;

    private readonly ManualTime time = new();

    // Nobody else comes within the budget: waiting costs and gains nothing.
    [Fact]
    public void Lone_requests_stop_it()
    {
        var payoff = new BatchPayoff(time);
        Record(payoff, requests: 1, TimeSpan.FromMicroseconds(50), BatchPayoff.Window - 1);
        Assert.True(payoff.IsOn);
        Record(payoff, requests: 1, TimeSpan.FromMicroseconds(50), 1);
        Assert.False(payoff.IsOn);
        Assert.Equal(BatchChoice.Bypass, payoff.Next());
    }

    // Four share a run that takes twice as long as one alone: half the time a candidate.
    [Fact]
    public void Cheaper_candidates_keep_it_on()
    {
        var payoff = new BatchPayoff(time);
        for (var window = 0; window < 5; window++)
        {
            Controls(payoff, TimeSpan.FromMicroseconds(50));
            Record(payoff, requests: 4, TimeSpan.FromMicroseconds(100), BatchPayoff.Window);
            Assert.True(payoff.IsOn);
        }
    }

    // Four share a run that takes four times as long as one alone: nothing is saved.
    [Fact]
    public void Candidates_that_cost_as_much_as_alone_stop_it()
    {
        var payoff = new BatchPayoff(time);
        Controls(payoff, TimeSpan.FromMicroseconds(50));
        Record(payoff, requests: 4, TimeSpan.FromMicroseconds(200), BatchPayoff.Window);
        Assert.False(payoff.IsOn);
    }

    // Two runs by themselves are no measure.
    [Fact]
    public void It_is_not_judged_by_few_comparisons()
    {
        var payoff = new BatchPayoff(time);
        payoff.Record(1, Candidates, TimeSpan.FromMicroseconds(50), isControl: true);
        payoff.Record(1, Candidates, TimeSpan.FromMicroseconds(50), isControl: true);
        Record(payoff, requests: 4, TimeSpan.FromMicroseconds(200), BatchPayoff.Window);
        Assert.True(payoff.IsOn);
    }

    [Fact]
    public void It_is_tried_again_ever_more_seldom_until_it_helps()
    {
        var payoff = new BatchPayoff(time);
        foreach (var seconds in (int[])[1, 2, 4, 8, 16, 16])
        {
            Record(payoff, requests: 1, TimeSpan.FromMicroseconds(50), BatchPayoff.Window);
            time.Advance(TimeSpan.FromSeconds(seconds) - TimeSpan.FromTicks(1));
            Assert.Equal(BatchChoice.Bypass, payoff.Next());
            time.Advance(TimeSpan.FromTicks(1));
            Assert.NotEqual(BatchChoice.Bypass, payoff.Next());
            Assert.True(payoff.IsOn);
        }
        Record(payoff, requests: 4, TimeSpan.FromMicroseconds(20), BatchPayoff.Window);
        Record(payoff, requests: 1, TimeSpan.FromMicroseconds(50), BatchPayoff.Window);
        time.Advance(BatchPayoff.FirstPause);
        Assert.NotEqual(BatchChoice.Bypass, payoff.Next());
    }

    [Fact]
    public void One_request_in_32_is_scored_alone()
    {
        var payoff = new BatchPayoff(time);
        Assert.Equal(10, Enumerable.Range(0, 10 * BatchPayoff.ControlStride).Count(_ => payoff.Next() == BatchChoice.Alone));
    }

    private static void Record(BatchPayoff payoff, int requests, TimeSpan elapsed, int times)
    {
        for (var i = 0; i < times; i++)
            payoff.Record(requests, requests * Candidates, elapsed, isControl: false);
    }

    private static void Controls(BatchPayoff payoff, TimeSpan elapsed)
    {
        for (var i = 0; i < BatchPayoff.LeastControls; i++)
            payoff.Record(1, Candidates, elapsed, isControl: true);
    }
}
