using KdServing.Contracts;
using KdServing.Serving.Models;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Control;

/// <summary>A new version proves itself: before the swap, as a canary, and in the time after.</summary>
public sealed class RolloutTests : IDisposable
{
    private readonly SampleStudent sample = new("mlp");

    public void Dispose() => sample.Dispose();

    // A row no golden request reads overflows: only a live request finds it. It is answered by the version before, which takes over.
    [Fact]
    public async Task A_version_that_computes_nonsense_is_rolled_back_and_fails_no_request()
    {
        await using var server = await RunningServer.StartAsync(sample);
        var request = Poisoned(out var poison);
        poison(float.MaxValue);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);

        Assert.Equal(1, (await server.Client.RankAsync(request)).Version);
        await server.ServesAsync(1);
        Assert.True(server.Log.Holds(LogLevel.Warning, "version 2 is rolled back to version 1: 1 of 1 requests failed"));
        Assert.Contains("1 of 1 requests failed", server.Rollout.State.Rejected[2], StringComparison.Ordinal);
        Assert.Equal(0, server.Rollout.State.Pinned);

        // The next one is taken, when it is better.
        poison(0.1f);
        sample.Publish(server.Repository);
        await server.ServesAsync(3);
        Assert.Equal(3, (await server.Client.RankAsync(request)).Version);
    }

    // Both versions fail: it is the request, and nobody is rolled back for it.
    [Fact]
    public async Task A_request_no_version_can_score_is_no_reason_to_roll_back()
    {
        var request = Poisoned(out var poison);
        poison(float.MaxValue);
        await using var server = await RunningServer.StartAsync(sample);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        server.Log.Expect("scoring failed");
        await Assert.ThrowsAsync<Grpc.Core.RpcException>(async () => await server.Client.RankAsync(request));
        server.Rollout.Look();
        Assert.Equal(2, server.Slot.Current!.Version);
        Assert.Equal(0, server.Slot.Current!.Health.Failed);
    }

    [Fact]
    public async Task After_three_rollbacks_in_a_row_a_person_must_look()
    {
        await using var server = await RunningServer.StartAsync(sample);
        for (var version = 2; version <= 4; version++)
        {
            sample.Learn(version);
            sample.Publish(server.Repository);
            await server.ServesAsync(version);
            server.Slot.Current!.Health.CountFailure();
            await server.ServesAsync(1);
        }
        Assert.True(server.Rollout.State.Held);
        Assert.Contains("3 rollbacks in a row", server.Rollout.State.HeldReason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_fall_in_fidelity_is_rolled_back()
    {
        await using var server = await RunningServer.StartAsync(sample);
        server.Slot.Current!.Health.Fidelity = 0.8;
        sample.Learn(2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        server.Slot.Current!.Health.Fidelity = 0.75;
        server.Rollout.Look();
        Assert.Equal(2, server.Slot.Current!.Version);
        server.Slot.Current!.Health.Fidelity = 0.5;
        await server.ServesAsync(1);
        Assert.Equal("overlap@10 with the teacher fell from 0.800 to 0.500", server.Rollout.State.Rejected[2]);
    }

    [Fact]
    public async Task A_version_that_turns_the_order_upside_down_is_held_back()
    {
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { Rollout = new() { MaxChurn = 0.2 } });
        // The first request is sampled: it is what the next version is compared on.
        await server.Client.RankAsync(sample.Request(candidates: 200, seed: 9));
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        Assert.Equal(0, server.Ledger.Entries()[^1].Churn);
        sample.Learn(seed: 77);
        sample.Publish(server.Repository);
        Assert.Contains("rank churn", await server.RefusesAsync(3), StringComparison.Ordinal);
        Assert.InRange(server.Ledger.Entries()[^1].Churn!.Value, 0.2, 1);
        Assert.Equal(3, (await server.Control.PinAsync(new() { Version = 3 })).Current);
    }

    [Fact]
    public async Task A_canary_gets_its_share_then_all()
    {
        await using var server = await RunningServer.StartAsync(sample,
            change: o => o with { Rollout = new() { CanaryShare = 0.25, ShadowShare = 1, CanaryTime = TimeSpan.FromHours(1) } });
        sample.Learn(2);
        sample.Publish(server.Repository);
        await Eventually.HoldsAsync(() => server.Slot.Lineup.Candidate?.Version == 2, "version 2 is a canary");
        var counts = new Dictionary<long, int>();
        for (var i = 0; i < 400; i++)
        {
            var request = sample.Request(candidates: 12, seed: i);
            var first = (await server.Client.RankAsync(request)).Version;
            counts[first] = counts.GetValueOrDefault(first) + 1;
            if (i < 20)
                Assert.Equal(first, (await server.Client.RankAsync(request)).Version);
        }
        // 400 draws of 0.25: the standard deviation is 9.
        Assert.InRange(counts[2], 55, 145);
        await Eventually.HoldsAsync(() => server.Control.List(new()).Shadow.Requests > 0, "requests are scored in shadow");
        Assert.InRange((await server.Control.ListAsync(new())).Shadow.MeanChurn, 0, 1);

        // Meanwhile no newer version comes; then the canary is put into service.
        sample.Learn(3);
        sample.Publish(server.Repository);
        Assert.Equal(2, (await server.Control.CanaryAsync(new() { Promote = true })).Current);
        await Eventually.HoldsAsync(() => server.Slot.Lineup.Candidate?.Version == 3, "version 3 is the next canary");
    }

    [Fact]
    public async Task A_canary_that_fails_is_dropped()
    {
        await using var server = await RunningServer.StartAsync(sample);
        await server.Control.HoldAsync(new());
        sample.Learn(2);
        sample.Publish(server.Repository);
        Assert.Equal(2, (await server.Control.CanaryAsync(new() { Version = 2, Share = 0.5 })).Candidate);
        server.Slot.Lineup.Candidate!.Health.CountFailure();
        await Eventually.HoldsAsync(() => server.Slot.Lineup.Candidate is null, "the canary is dropped");
        Assert.Equal(1, server.Slot.Current!.Version);
        Assert.True(server.Rollout.State.Rejected.ContainsKey(2));
    }

    [Fact]
    public async Task A_canary_without_trouble_is_put_into_service_in_time()
    {
        await using var server = await RunningServer.StartAsync(sample,
            change: o => o with { Rollout = new() { CanaryShare = 0.5, CanaryTime = TimeSpan.FromMilliseconds(50) } });
        sample.Learn(2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        Assert.Equal(1, server.Slot.Lineup.Previous!.Version);
    }

    [Theory]
    // A pin is met, whatever is newer.
    [InlineData(3, 5, 0, false, 3L)]
    [InlineData(3, 3, 0, false, null)]
    // A pin that can not be met: who serves stays; who has nothing takes the newest below, else the newest.
    [InlineData(9, 4, 0, false, null)]
    [InlineData(9, 0, 0, false, 5L)]
    [InlineData(4, 0, 4, false, 3L)]
    [InlineData(1, 0, 1, false, 5L)]
    // A hold keeps who serves, and does not keep a server empty.
    [InlineData(0, 3, 0, true, null)]
    [InlineData(0, 0, 0, true, 5L)]
    [InlineData(0, 3, 5, false, 4L)]
    public void What_is_wanted_decides(long pinned, long current, long refused, bool held, long? next) =>
        Assert.Equal(next, AspiredVersion.Next([1, 3, 4, 5], current, pinned, held, v => v == refused));

    // A clicked article's row of the largest floats: finite in the table, infinite as soon as two of them are added.
    private RankRequest Poisoned(out Action<float> fill)
    {
        var request = sample.Request(candidates: 20, seed: 4711);
        var clicks = sample.Schema.User.Features.Single(f => f.Name == "last_clicks");
        var column = request.User.Single(c => c.Name == "last_clicks");
        column.Sequences = new() { Lengths = { 2 }, Value = { 123_456, 654_321 } };
        fill = value =>
        {
            foreach (var id in column.Sequences.Value)
                sample.Tables[clicks.Table].Writable(clicks.Row(id)).Fill(value);
        };
        return request;
    }
}
