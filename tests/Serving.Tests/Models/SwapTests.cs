using System.Collections.Concurrent;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Models;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Models;

/// <summary>Versions change while requests are answered: no request fails, and each is scored by exactly one version.</summary>
public sealed class SwapTests
{
    private const int Candidates = 40;

    [Fact]
    public async Task Requests_during_swaps_never_fail_and_never_mix_versions()
    {
        const int versions = 40;
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var request = sample.Request(Candidates, seed: 77);
        // What each version answers; a reply must be all of one of them.
        var expected = new ConcurrentDictionary<long, float[]> { [1] = sample.Score(request) };
        using var done = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            var (answered, newest) = (0, 0L);
            while (!done.IsCancellationRequested)
            {
                var reply = await server.Client.RankAsync(request);
                RequireOneVersion(reply, expected[reply.Version]);
                Assert.True(reply.Version >= newest, "a later reply by an earlier version");
                newest = reply.Version;
                answered++;
            }
            return answered;
        })).ToArray();
        for (var version = 2; version <= versions; version++)
        {
            sample.Learn(seed: version);
            expected[version] = sample.Score(request);
            sample.Publish(server.Repository);
            await server.ServesAsync(version);
        }
        await done.CancelAsync();
        var total = (await Task.WhenAll(clients)).Sum();
        Assert.True(total >= 2000, $"{total} requests during {versions} swaps");
        await server.DisposedAllButTheLastAsync();
        var swaps = server.Ledger.Entries();
        Assert.All(swaps, s => Assert.Null(s.Error));
        Assert.Equal(versions, server.Ledger.Served);
        Assert.All(swaps.Skip(1).SkipLast(1), s => Assert.True(s.LoadedMs <= s.WarmedMs && s.WarmedMs <= s.SwappedMs && s.SwappedMs <= s.DrainedMs && s.DrainedMs <= s.DisposedMs));
    }

    // A request has read the field, a swap happens, then it takes its lease: it gets the old version while that lives, …
    [Fact]
    public async Task A_lease_taken_after_the_swap_keeps_the_old_version_alive()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 2);
        var slot = new ServableSlot();
        slot.Swap(versions[1]);
        Servable? old = null;
        Task? drained = null;
        slot.BetweenReadAndLease = () =>
        {
            slot.BetweenReadAndLease = null;
            old = slot.Swap(versions[2]);
        };
        Assert.True(slot.TryAcquire(out var lease));
        Assert.Same(versions[1], lease.Servable);
        drained = old!.RetireAsync();
        Assert.False(drained.IsCompleted);
        Assert.Throws<InvalidOperationException>(old.Dispose);
        LoadedVersions.RequireScores(lease.Servable, sample.Request(Candidates, seed: 3));
        lease.Dispose();
        await drained;
        old.Dispose();
    }

    // … and the new one when the old has drained in between.
    [Fact]
    public void A_request_that_comes_too_late_for_the_old_version_gets_the_new_one()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 2);
        var slot = new ServableSlot();
        slot.Swap(versions[1]);
        slot.BetweenReadAndLease = () =>
        {
            slot.BetweenReadAndLease = null;
            var old = slot.Swap(versions[2])!;
            Assert.True(old.RetireAsync().IsCompletedSuccessfully);
            old.Dispose();
        };
        Assert.True(slot.TryAcquire(out var lease));
        using (lease)
        {
            Assert.Same(versions[2], lease.Servable);
            LoadedVersions.RequireScores(lease.Servable, sample.Request(Candidates, seed: 3));
        }
    }

    [Fact]
    public void An_emptied_slot_gives_no_lease()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var slot = new ServableSlot();
        Assert.False(slot.TryAcquire(out _));
        slot.Swap(versions[1]);
        slot.BetweenReadAndLease = () => slot.Swap(null)?.RetireAsync();
        Assert.False(slot.TryAcquire(out _));
    }

    // Swaps as fast as two versions can change places, leases as fast as three threads can take them.
    [Fact]
    public async Task Leases_and_swaps_from_many_threads_never_meet_a_disposed_version()
    {
        using var sample = new SampleStudent("two_tower");
        using var versions = new LoadedVersions(sample, count: 1);
        var slot = new ServableSlot();
        slot.Swap(versions[1]);
        using var done = new CancellationTokenSource();
        var users = Enumerable.Range(0, 3).Select(i => Task.Run(() =>
        {
            var scored = 0;
            while (!done.IsCancellationRequested)
            {
                Assert.True(slot.TryAcquire(out var lease));
                using (lease)
                    LoadedVersions.RequireScores(lease.Servable, sample.Request(3, seed: i));
                scored++;
            }
            return scored;
        })).ToArray();
        for (var i = 0; i < 150; i++)
        {
            var old = slot.Swap(versions.LoadAgain(1))!;
            await old.RetireAsync();
            old.Dispose();
        }
        await done.CancelAsync();
        Assert.True((await Task.WhenAll(users)).All(scored => scored > 0));
    }

    [Fact]
    public async Task A_pinned_version_is_scored_with_or_refused()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var request = sample.Request(Candidates, seed: 5);
        request.Version = 1;
        Assert.Equal(1, (await server.Client.RankAsync(request)).Version);
        for (var version = 2; version <= 3; version++)
        {
            sample.Learn(seed: version);
            sample.Publish(server.Repository);
            await server.ServesAsync(version);
            // The one before is still warm; the one before that is not.
            request.Version = version - 1;
            Assert.Equal(version - 1, (await server.Client.RankAsync(request)).Version);
        }
        request.Version = 1;
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request));
        Assert.Equal(StatusCode.FailedPrecondition, e.StatusCode);
    }

    [Fact]
    public async Task A_delta_shares_the_rows_it_does_not_change()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var first = server.Slot.Current!.Tables;
        var address = Address(first[0], row: 0);
        sample.Learn(seed: 2, rowsPerTable: 0);
        sample.Tables[0].Writable(sample.Tables[0].Rows - 1)[0] = 9;
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        Assert.Equal(VersionKind.Delta, server.Slot.Current!.Manifest.Kind);
        Assert.Equal(address, Address(server.Slot.Current!.Tables[0], row: 0));
        Assert.Equal(9, server.Slot.Current!.Tables[0][sample.Tables[0].Rows - 1][0]);
        Assert.True(server.Log.Holds(LogLevel.Information, "version 2 of 'sample' is in service (before: 1"));
    }

    private static unsafe nint Address(EmbeddingTable table, int row) => (nint)table.Address(row);

    private static void RequireOneVersion(RankReply reply, float[] expected)
    {
        for (var n = 0; n < Candidates; n++)
        {
            for (var t = 0; t < reply.Targets.Count; t++)
            {
                var logit = expected[n * reply.Targets.Count + t];
                if (MathF.Abs(logit - reply.Targets[t].Logits[n]) > 1e-4f * MathF.Max(1, MathF.Abs(logit)))
                    Assert.Fail($"candidate {n} of a reply by version {reply.Version}: {reply.Targets[t].Logits[n]}, that version's is {logit}");
            }
        }
    }
}
