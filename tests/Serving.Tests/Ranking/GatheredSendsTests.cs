using Google.Protobuf;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Wire;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Ranking;

public sealed class GatheredSendsTests : IDisposable
{
    private readonly ManualTime time = new();
    private readonly AdmissionGate gate = new(concurrency: 1, maxQueueMs: 1);
    private readonly GatheredSends gathered;
    private readonly List<int> sent = [];

    public GatheredSendsTests()
    {
        gathered = new(gate, time);
        time.Advance(TimeSpan.FromSeconds(1));
    }

    public void Dispose() => gathered.Dispose();

    [Fact]
    public void Nothing_is_held_while_there_is_no_crowd()
    {
        Assert.False(Hold(1));
        _ = gate.EnterAsync();
        Assert.False(Hold(1));
        gathered.SendDue(isCrowded: false);
        Assert.Empty(sent);
    }

    [Fact]
    public void In_a_crowd_what_is_held_is_sent_when_it_is_time()
    {
        Crowd();
        Assert.True(Hold(1));
        Assert.True(Hold(2));
        gathered.SendDue(isCrowded: true);
        Assert.Equal([1, 2], sent);
        Assert.True(Hold(3));
        time.Advance(GatheredSends.Interval - TimeSpan.FromTicks(1));
        gathered.SendDue(isCrowded: true);
        Assert.Equal([1, 2], sent);
        time.Advance(TimeSpan.FromTicks(1));
        gathered.SendDue(isCrowded: true);
        Assert.Equal([1, 2, 3], sent);
    }

    [Fact]
    public void With_the_crowd_gone_it_is_sent_at_once()
    {
        Crowd();
        Hold(1);
        gathered.SendDue(isCrowded: true);
        Hold(2);
        gathered.SendDue(isCrowded: false);
        Assert.Equal([1, 2], sent);
    }

    // What computes may take long, or hang.
    [Fact]
    public void A_timer_sends_when_nobody_comes_by()
    {
        Crowd();
        for (var round = 1; round <= 3; round++)
        {
            Hold(round);
            time.Advance(GatheredSends.TimerInterval);
            Assert.Equal(round, sent.Count);
        }
    }

    [Fact]
    public void What_is_held_while_others_are_sent_is_sent_next()
    {
        Crowd();
        Assert.True(gathered.TryHold(() =>
        {
            sent.Add(1);
            Hold(2);
            // Another thread may come by meanwhile.
            gathered.SendDue(isCrowded: false);
            Hold(3);
        }));
        gathered.SendDue(isCrowded: false);
        Assert.Equal([1, 2], sent);
        gathered.SendDue(isCrowded: false);
        Assert.Equal([1, 2, 3], sent);
    }

    // A timer would send too, but here time stands still.
    [Fact]
    public async Task Whoever_is_about_to_score_sends()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var services = server.Host.Services;
        var service = new RankingService(services.GetRequiredService<RankingModel>(), server.Slot, new(), gate, gathered, services.GetRequiredService<RecentRequests>(),
            services.GetRequiredService<ShadowScoring>(), services.GetRequiredService<RankingMetrics>(), catalog: null, batcher: null, services.GetRequiredService<OpenStreams>(),
            services.GetRequiredService<IHostApplicationLifetime>(), services.GetRequiredService<ILogger<RankingService>>());
        await gate.EnterAsync();
        var ranking = service.RankAsync(RankCall.Read(new(sample.Request(candidates: 5, seed: 1).ToByteArray())), new(DateTime.MaxValue, CancellationToken.None));
        Assert.True(Hold(1));
        gate.Leave(null);
        (await ranking).Return();
        Assert.Equal([1], sent);
    }

    private bool Hold(int number) => gathered.TryHold(() => sent.Add(number));

    // One is served, one waits, as long as anybody may.
    private void Crowd()
    {
        _ = gate.EnterAsync();
        _ = gate.EnterAsync();
    }
}
