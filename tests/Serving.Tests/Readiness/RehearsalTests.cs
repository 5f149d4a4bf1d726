using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Readiness;
using KdServing.Serving.Status;
using KdServing.Serving.Tests.Models;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace KdServing.Serving.Tests.Readiness;

public sealed class RehearsalTests
{
    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public async Task The_first_version_is_rehearsed_before_it_serves_and_later_ones_are_not(string family)
    {
        using var sample = new SampleStudent(family);
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { RehearsalLimit = TimeSpan.FromSeconds(10) });
        // Refusals, too: the first crowd would wait for their code.
        Assert.Matches(@"version 1 rehearsed: [1-9]\d* sample requests answered and [1-9]\d\d refused", $"{server.Log}");
        sample.Learn(2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        Assert.False(server.Log.Holds(LogLevel.Information, "version 2 rehearsed: "));
        Assert.False(server.Log.Holds(LogLevel.Warning, ""), $"{server.Log}");
    }

    [Fact]
    public async Task Nothing_of_it_shows()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { RehearsalLimit = TimeSpan.FromSeconds(10) });
        var services = server.Host.Services;
        Assert.Equal(0, services.GetRequiredService<RankingMetrics>().Requests);
        Assert.Empty(services.GetRequiredService<RecentRequests>().Take());
        Assert.Equal((0, null), (server.Slot.Current!.Health.Answered, server.Slot.Current.Health.FirstReplyMs));
        // The first that counts is a client's.
        await server.Client.RankAsync(sample.Request(candidates: 5, seed: 1));
        Assert.Equal(1, server.Slot.Current.Health.Answered);
        Assert.Single(services.GetRequiredService<RecentRequests>().Take());
    }

    [Fact]
    public async Task A_server_that_stops_meanwhile_ends_it_and_gets_the_version_back()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        using var thread = new NicedThread("test", niceness: 0);
        using var stopping = new CancellationTokenSource();
        var rehearsal = new Rehearsal(new(SampleStudent.Model), new(), thread, TimeSpan.FromHours(1), NullLogger<Rehearsal>.Instance);
        var running = rehearsal.RunAsync(versions[1], stopping.Token);
        await Eventually.HoldsAsync(() => versions[1].Health.Answered > 0, "a sample request is answered");
        await stopping.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.True(versions[1].RetireAsync().IsCompleted);
    }

    // A sample request the server refuses: the version has passed its checks, and serves nevertheless.
    [Fact]
    public async Task A_rehearsal_that_fails_is_told_and_no_more()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        using var thread = new NicedThread("test", niceness: 0);
        using var log = new LogCollector();
        using var logs = LoggerFactory.Create(l => l.AddProvider(log));
        var rehearsal = new Rehearsal(new("another"), new(), thread, TimeSpan.FromMilliseconds(100), logs.CreateLogger<Rehearsal>());
        await rehearsal.RunAsync(versions[1], CancellationToken.None);
        Assert.True(log.Holds(LogLevel.Warning, "version 1 is served without a rehearsal"), $"{log}");
    }

    [Theory]
    [InlineData(1000)]
    [InlineData(7)]
    public void Sample_requests_are_the_trainer_s_in_every_form(int maxCandidates)
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var run = versions[1].Rent();
        var requests = SampleRequests.Of(versions[1], maxCandidates);
        Assert.Contains(requests, r => r.TopK > 0);
        Assert.Contains(requests, r => r.Item.Any(c => c.ValuesCase == Column.ValuesOneofCase.RawInt64));
        Assert.Contains(requests, r => r.Item.Any(c => c.ValuesCase == Column.ValuesOneofCase.RawFloat32));
        var goldens = versions[1].GoldenRequests.Where(r => r.CandidateCount > 0).ToList();
        var forms = requests.Count / goldens.Count;
        for (var i = 0; i < requests.Count; i++)
        {
            var (golden, request) = (goldens[i / forms], requests[i]);
            versions[1].Score(golden, run, CallBudget.Unlimited);
            var once = run.Logits.ToArray();
            versions[1].Score(request, run, CallBudget.Unlimited);
            Assert.Equal(0, request.CandidateCount % golden.CandidateCount);
            var times = request.CandidateCount / golden.CandidateCount;
            Assert.Equal(Math.Max(1, Math.Min(500, maxCandidates) / golden.CandidateCount), times);
            Assert.Equal(Enumerable.Repeat(once, times).SelectMany(l => l), run.Logits.ToArray(), (a, b) => Math.Abs(a - b) <= 1e-5f * Math.Max(1, Math.Abs(a)));
        }
        versions[1].Return(run);
    }
}
