using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>When requests are batched, and when they are left alone.</summary>
public sealed class BatchPayoffTests
{
    private readonly ManualTime time = new();
    private readonly BatchPayoff payoff;

    public BatchPayoffTests() => payoff = new(time);

    // As many requests, each answered in 0.8 ms instead of 1.
    [Fact]
    public void Sooner_answers_turn_it_on()
    {
        Assert.False(payoff.Next());
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Assert.True(payoff.IsOn);
        Assert.True(payoff.Next());
    }

    // The server is at its limit: each takes longer, but 1.5 times as many are answered.
    [Fact]
    public void More_answers_turn_it_on()
    {
        Trial(alone: (2000, 1.0), batched: (3000, 1.2));
        Assert.True(payoff.IsOn);
    }

    // They wait for others, and nothing is gained.
    [Fact]
    public void Later_answers_leave_it_off()
    {
        Trial(alone: (200, 0.2), batched: (200, 0.3));
        Assert.False(payoff.IsOn);
        Assert.False(payoff.Next());
    }

    // A few more came by chance, and 3 % are noise.
    [Fact]
    public void What_may_be_chance_leaves_it_off()
    {
        Trial(alone: (200, 1.0), batched: (215, 0.97));
        Assert.False(payoff.IsOn);
    }

    // Sooner only because fewer are answered at all.
    [Fact]
    public void Fewer_answers_leave_it_off()
    {
        Trial(alone: (3000, 1.0), batched: (2000, 0.8));
        Assert.False(payoff.IsOn);
    }

    // 15 requests in 100 ms: nobody comes within a budget of microseconds.
    [Fact]
    public void It_is_not_tried_without_traffic()
    {
        for (var i = 0; i < 100; i++)
        {
            Pass(BatchPayoff.LeastRequests - 1, 1);
            Assert.False(payoff.Next());
        }
    }

    [Fact]
    public void It_is_left_when_it_does_not_help_any_more()
    {
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Rest(BatchPayoff.FirstRest);
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Assert.True(payoff.IsOn);
        Rest(2 * BatchPayoff.FirstRest);
        Trial(alone: (200, 0.7), batched: (200, 0.8));
        Assert.False(payoff.IsOn);
    }

    [Fact]
    public void It_is_left_when_traffic_ends()
    {
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Rest(BatchPayoff.FirstRest);
        Pass(BatchPayoff.LeastRequests - 1, 0.8);
        Assert.False(payoff.IsOn);
    }

    [Fact]
    public void It_is_tried_ever_more_seldom_while_nothing_changes()
    {
        Trial(alone: (200, 0.2), batched: (200, 0.3));
        foreach (var seconds in (int[])[2, 4, 8, 8])
        {
            Rest(TimeSpan.FromSeconds(seconds));
            Trial(alone: (200, 0.2), batched: (200, 0.3));
        }
        Rest(TimeSpan.FromSeconds(8));
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Rest(BatchPayoff.FirstRest);
        Trial(alone: (200, 1.0), batched: (200, 0.8));
        Assert.True(payoff.IsOn);
    }

    // What began in the slice before, and ends in this one, took the other way.
    [Fact]
    public void Requests_of_the_other_way_do_not_count()
    {
        Pass(200, 1.0);
        Assert.True(payoff.Next());
        for (var i = 0; i < 200; i++)
            payoff.Answered(isBatched: false, TimeSpan.FromSeconds(1));
        Pass(200, 0.8);
        Pass(200, 1.0);
        Assert.True(payoff.IsOn);
    }

    // A slice each: as now, the other way, as now.
    private void Trial((int Requests, double Ms) alone, (int Requests, double Ms) batched)
    {
        var asNow = payoff.IsOn ? batched : alone;
        var otherWay = payoff.IsOn ? alone : batched;
        Pass(asNow.Requests, asNow.Ms);
        Pass(otherWay.Requests, otherWay.Ms);
        Pass(asNow.Requests, asNow.Ms);
    }

    private void Pass(int requests, double ms)
    {
        var isBatched = payoff.Next();
        for (var i = 0; i < requests; i++)
            payoff.Answered(isBatched, TimeSpan.FromMilliseconds(ms));
        time.Advance(BatchPayoff.Slice);
        payoff.Next();
    }

    private void Rest(TimeSpan rest)
    {
        var isOn = payoff.Next();
        time.Advance(rest - TimeSpan.FromTicks(1));
        Assert.Equal(isOn, payoff.Next());
        time.Advance(TimeSpan.FromTicks(1));
        payoff.Next();
    }
}
