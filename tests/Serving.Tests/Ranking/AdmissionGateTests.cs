using System.Diagnostics;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

public sealed class AdmissionGateTests
{
    [Fact]
    public async Task Waiters_enter_one_by_one_in_order()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1000);
        Assert.True(gate.EnterAsync().IsCompleted);
        var (second, third) = (gate.EnterAsync(), gate.EnterAsync());
        Assert.Equal((1, 2), (gate.Running, gate.Waiting));
        gate.Leave(Stopwatch.GetTimestamp());
        await second;
        Assert.False(third.IsCompleted);
        Assert.Equal((1, 1), (gate.Running, gate.Waiting));
        gate.Leave(Stopwatch.GetTimestamp());
        await third;
        gate.Leave(Stopwatch.GetTimestamp());
        Assert.Equal((0, 0), (gate.Running, gate.Waiting));
    }

    // The mean begins at 1 ms: with one served at a time, a queue of 3 ms holds three.
    [Fact]
    public void What_would_wait_too_long_is_refused_at_once()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3);
        for (var i = 0; i < 4; i++)
            _ = gate.EnterAsync();
        var e = Assert.Throws<OverloadException>(() => { _ = gate.EnterAsync(); });
        Assert.Equal(4, e.ExpectedMs);
        Assert.Equal((1, 3), (gate.Running, gate.Waiting));
        gate.Leave(Stopwatch.GetTimestamp());
        _ = gate.EnterAsync();
    }

    // Whoever scores then lets those refuse who need a core for it.
    [Fact]
    public void A_line_is_crowded_once_it_is_half_as_long_as_it_may_be()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 6);
        for (var i = 0; i < 3; i++)
        {
            _ = gate.EnterAsync();
            Assert.False(gate.Line.IsCrowded);
        }
        _ = gate.EnterAsync();
        Assert.True(gate.Line.IsCrowded);
        gate.Leave(null);
        Assert.False(gate.Line.IsCrowded);
    }

    // One request takes longer than half of what anybody may wait: that alone is no crowd.
    [Fact]
    public void A_line_without_anybody_is_not_crowded()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1.5);
        Assert.Equal((0, false), gate.Line);
        _ = gate.EnterAsync();
        Assert.Equal((0, false), gate.Line);
        _ = gate.EnterAsync();
        Assert.Equal((1, true), gate.Line);
    }

    [Fact]
    public void One_slow_request_does_not_close_the_gate()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3);
        _ = gate.EnterAsync();
        gate.Leave(Stopwatch.GetTimestamp() - 5 * Stopwatch.Frequency);
        // 5 s counted as 3 ms at weight 0.05: the mean is 1.1 ms.
        for (var i = 0; i < 3; i++)
            _ = gate.EnterAsync();
        Assert.Equal((1, 2), (gate.Running, gate.Waiting));
    }

    [Fact]
    public void A_full_line_is_known_before_anybody_asks_to_enter()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3);
        for (var i = 0; i < 3; i++)
        {
            _ = gate.EnterAsync();
            Assert.False(gate.IsFull(out _));
        }
        _ = gate.EnterAsync();
        Assert.True(gate.IsFull(out var expectedMs));
        Assert.Equal(4, expectedMs);
        gate.Leave(null);
        Assert.False(gate.IsFull(out _));
    }

    // A burst arrives before any of it is read: the line is empty all the while.
    [Fact]
    public void What_is_let_pass_counts_until_it_is_read()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3);
        _ = gate.EnterAsync();
        for (var i = 0; i < 3; i++)
            Assert.True(gate.TryExpect(out _));
        Assert.False(gate.TryExpect(out var expectedMs));
        Assert.Equal(4, expectedMs);
        // One is read and stands in line: there is no more room than before.
        gate.Arrived();
        _ = gate.EnterAsync();
        Assert.False(gate.TryExpect(out _));
        // One gave up.
        gate.Arrived();
        Assert.True(gate.TryExpect(out _));
        Assert.False(gate.TryExpect(out _));
    }

    // A client may send any number of calls in one piece.
    [Fact]
    public void A_burst_on_an_idle_server_is_counted_too()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3, new ManualTime());
        for (var i = 0; i < 4; i++)
            Assert.True(gate.TryExpect(out _));
        Assert.False(gate.TryExpect(out var expectedMs));
        Assert.Equal(4, expectedMs);
    }

    [Fact]
    public void Those_that_never_come_do_not_keep_others_out()
    {
        var time = new ManualTime();
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3, time);
        Fill();
        // Nobody has come for longer than anybody may wait.
        time.Advance(TimeSpan.FromMilliseconds(4));
        Assert.True(gate.TryExpect(out _));
        _ = gate.EnterAsync();
        Fill();
        // Somebody leaves, and nobody is in line.
        gate.Leave(time.GetTimestamp());
        _ = gate.EnterAsync();
        Assert.True(gate.TryExpect(out _));

        void Fill()
        {
            while (gate.TryExpect(out _))
            {
            }
        }
    }

    // The mean begins at 1 ms: the third in line would wait 3 ms, its caller only 2.5.
    [Fact]
    public void Work_whose_caller_will_not_wait_is_refused_not_queued()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1000);
        for (var i = 0; i < 3; i++)
            _ = gate.EnterAsync();
        Assert.Throws<OverloadException>(() => { _ = gate.EnterAsync(patienceMs: 2.5); });
        _ = gate.EnterAsync(patienceMs: 3.5);
        Assert.Equal((1, 3), (gate.Running, gate.Waiting));
    }

    // Two at a time, 10 ms each as they measure it, but one departs every 20 ms: their threads wait for a core meanwhile.
    [Fact]
    public void The_wait_is_told_by_departures_while_there_is_a_line()
    {
        var time = new ManualTime();
        var gate = new AdmissionGate(concurrency: 2, maxQueueMs: 1000, time);
        for (var i = 0; i < 3; i++)
            _ = gate.EnterAsync();
        for (var i = 0; i < 200; i++)
        {
            time.Advance(TimeSpan.FromMilliseconds(10));
            var started = time.GetTimestamp();
            time.Advance(TimeSpan.FromMilliseconds(10));
            gate.Leave(started);
            _ = gate.EnterAsync();
        }
        Assert.True(gate.TryExpect(out _));
        Assert.False(gate.IsFull(out var expectedMs));
        Assert.Equal(40, expectedMs, tolerance: 0.1);
    }

    // A pause between two requests is not how long one takes.
    [Fact]
    public void Idle_time_does_not_count()
    {
        var time = new ManualTime();
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1000, time);
        for (var i = 0; i < 200; i++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            _ = gate.EnterAsync();
            var started = time.GetTimestamp();
            time.Advance(TimeSpan.FromMilliseconds(2));
            gate.Leave(started);
        }
        _ = gate.EnterAsync();
        Assert.False(gate.IsFull(out var expectedMs));
        Assert.Equal(2, expectedMs, tolerance: 0.01);
    }

    // A hundred expired requests, dropped in no time, must not make the gate believe that requests take no time.
    [Fact]
    public void What_is_dropped_unrun_does_not_count_as_quick()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 3);
        for (var i = 0; i < 100; i++)
        {
            _ = gate.EnterAsync();
            gate.Leave(null);
        }
        for (var i = 0; i < 4; i++)
            _ = gate.EnterAsync();
        Assert.True(gate.IsFull(out _));
    }
}
