using System.Diagnostics;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Which requests share a run, and that none notices.</summary>
public sealed class RequestBatcherTests
{
    private static readonly TimeSpan Microsecond = TimeSpan.FromMicroseconds(1);

    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public async Task Results_do_not_depend_on_who_shares_the_run(string family)
    {
        using var sample = new SampleStudent(family);
        using var parts = new BatchedVersions(sample);
        var random = new Random(7);
        for (var batch = 0; batch < 40; batch++)
        {
            // Each is another user's; sizes from one candidate on, so that shapes are bound anew all the time.
            var joined = Enumerable.Range(0, random.Next(1, 9))
                .Select(i => parts.Join(sample.Request(random.Next(1, batch % 4 == 0 ? 120 : 20), seed: batch * 100 + i))).ToList();
            parts.Time.Advance(BatchedVersions.Budget);
            foreach (var request in joined)
                await parts.RequireScoredAsync(request);
            Assert.Equal(batch + 1, parts.Scored.Batches);
        }
    }

    // The first waits 100 µs for others, and not longer because others came.
    [Fact]
    public async Task A_batch_goes_when_its_first_request_has_waited_long_enough()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample);
        var first = parts.Join(sample.Request(5, seed: 1));
        parts.Time.Advance(BatchedVersions.Budget - Microsecond);
        var second = parts.Join(sample.Request(6, seed: 2));
        Assert.False(first.IsScored.IsCompleted || second.IsScored.IsCompleted);
        Assert.Equal(2, parts.Batcher.Waiting);
        parts.Time.Advance(Microsecond);
        await parts.RequireScoredAsync(first);
        await parts.RequireScoredAsync(second);
        Assert.Equal((1, 2), parts.Scored);
        // 100 µs and 1 µs.
        Assert.Equal(50.5, parts.Batcher.Report().MeanWaitUs);
    }

    [Fact]
    public async Task A_full_batch_goes_at_once()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, maxCandidates: 100);
        var first = parts.Join(sample.Request(60, seed: 1));
        Assert.Equal((0, 0), parts.Scored);
        var second = parts.Join(sample.Request(40, seed: 2));
        Assert.Equal((1, 2), parts.Scored);
        await parts.RequireScoredAsync(first);
        await parts.RequireScoredAsync(second);
    }

    // The second would be too much: the first goes without it, and the second waits for others of its own.
    [Fact]
    public async Task A_batch_without_room_goes_and_another_one_begins()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, maxCandidates: 100);
        var first = parts.Join(sample.Request(60, seed: 1));
        var second = parts.Join(sample.Request(41, seed: 2));
        await parts.RequireScoredAsync(first);
        Assert.False(second.IsScored.IsCompleted);
        parts.Time.Advance(BatchedVersions.Budget);
        await parts.RequireScoredAsync(second);
        Assert.Equal((2, 2), parts.Scored);
    }

    [Fact]
    public void A_request_larger_than_a_batch_and_one_of_the_kernel_go_by_themselves()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, maxCandidates: 100);
        Assert.Equal(BatchChoice.Together, parts.Batcher.Choose(sample.Request(100, seed: 1), parts[1]));
        Assert.Equal(BatchChoice.Never, parts.Batcher.Choose(sample.Request(101, seed: 1), parts[1]));
        Assert.Equal(BatchChoice.Never, parts.Batcher.Choose(new() { CandidateCount = 1, Catalog = new() }, parts[1]));
        parts[1].Engine = ScoringEngine.Kernel;
        Assert.Equal(BatchChoice.Never, parts.Batcher.Choose(sample.Request(100, seed: 1), parts[1]));
        var bypassed = parts.Batcher.Report().Bypassed;
        Assert.Equal((1, 1, 1), (bypassed["large"], bypassed["catalog"], bypassed["kernel"]));
    }

    // A swap happens between two requests: each is scored by the version it has leased, in a batch of that version.
    [Fact]
    public async Task Versions_are_never_mixed()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, count: 2);
        var request = sample.Request(20, seed: 1);
        var (before, after) = (parts.Join(request, version: 1), parts.Join(request, version: 2));
        var straggler = parts.Join(sample.Request(7, seed: 2), version: 1);
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.NotEqual(parts.Alone(request, 1).Logits, parts.Alone(request, 2).Logits);
        await parts.RequireScoredAsync(before, version: 1);
        await parts.RequireScoredAsync(after, version: 2);
        await parts.RequireScoredAsync(straggler, version: 1);
        Assert.Equal((2, 3), parts.Scored);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_does_not_wait_any_more_is_left_out(bool cancelled)
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample);
        using var cancellation = new CancellationTokenSource();
        var budget = new CallBudget(cancelled ? DateTime.MaxValue : DateTime.UtcNow, cancellation.Token);
        var first = parts.Join(sample.Request(5, seed: 1), budget: budget);
        var second = parts.Join(sample.Request(6, seed: 2));
        var third = parts.Join(sample.Request(7, seed: 3));
        if (cancelled)
            await cancellation.CancelAsync();
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.False(await first.IsScored);
        await parts.RequireScoredAsync(second);
        await parts.RequireScoredAsync(third);
        Assert.Equal((1, 2), parts.Scored);
    }

    [Fact]
    public async Task A_batch_nobody_waits_for_is_not_run()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample);
        var joined = parts.Join(sample.Request(5, seed: 1), budget: new(DateTime.UtcNow, CancellationToken.None));
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.False(await joined.IsScored);
        Assert.Equal((0, 0), parts.Scored);
        Assert.Equal((0, 0), (parts.Gate.Running, parts.Gate.Waiting));
    }

    // One user's row makes the sums over it infinite: only that request must score by itself, and fail there.
    [Fact]
    public async Task A_score_that_is_not_finite_is_nobody_elses()
    {
        using var sample = new SampleStudent("mlp");
        var bad = sample.Request(5, seed: 1);
        var user = sample.Schema.User.Features.Single(f => f.Name == "user_id");
        sample.Tables[user.Table].Writable(user.Row(bad.User[0].Ints.Value[0])).Fill(3e38f);
        using var parts = new BatchedVersions(sample);
        var (spoilt, good) = (parts.Join(bad), parts.Join(sample.Request(6, seed: 2)));
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.False(await spoilt.IsScored);
        await parts.RequireScoredAsync(good);
    }

    // Every core computes: the batch stands in line, and who comes meanwhile joins it at no cost.
    [Fact]
    public async Task A_batch_is_joined_until_it_has_its_turn()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample);
        await parts.Gate.EnterAsync();
        var first = parts.Join(sample.Request(5, seed: 1));
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.Equal(1, parts.Gate.Waiting);
        var second = parts.Join(sample.Request(6, seed: 2));
        parts.Gate.Leave(Stopwatch.GetTimestamp());
        await parts.RequireScoredAsync(first);
        await parts.RequireScoredAsync(second);
        Assert.Equal((1, 2), parts.Scored);
    }

    [Fact]
    public async Task A_batch_the_gate_refuses_is_not_scored()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, gate: new(concurrency: 1, maxQueueMs: 0));
        await parts.Gate.EnterAsync();
        var joined = parts.Join(sample.Request(5, seed: 1));
        parts.Time.Advance(BatchedVersions.Budget);
        Assert.False(await joined.IsScored);
        Assert.Equal(BatchChoice.Never, parts.Batcher.Choose(sample.Request(5, seed: 1), parts[1]));
        Assert.Equal(1, parts.Batcher.Report().Bypassed["overload"]);
        parts.Gate.Leave(null);
        Assert.Equal((0, 0), (parts.Gate.Running, parts.Gate.Waiting));
    }

    [Fact]
    public async Task A_server_that_stops_lets_nobody_wait()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample);
        var (first, second) = (parts.Join(sample.Request(5, seed: 1)), parts.Join(sample.Request(6, seed: 2)));
        parts.Batcher.Close();
        await parts.RequireScoredAsync(first);
        await parts.RequireScoredAsync(second);
        Assert.False(await parts.Join(sample.Request(5, seed: 3)).IsScored);
        Assert.Equal(BatchChoice.Never, parts.Batcher.Choose(sample.Request(5, seed: 3), parts[1]));
    }

    [Fact]
    public async Task Many_threads_at_once_are_all_answered()
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, maxCandidates: 64, gate: new(concurrency: 2, maxQueueMs: 10_000));
        using var done = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 8).Select(client => Task.Run(async () =>
        {
            for (var i = 0; i < 50; i++)
                await parts.RequireScoredAsync(parts.Join(sample.Request(1 + (i * 7 + client) % 30, seed: client * 1000 + i)));
        })).ToArray();
        var clock = Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
                parts.Time.Advance(BatchedVersions.Budget);
        });
        await Task.WhenAll(clients);
        await done.CancelAsync();
        await clock;
        Assert.Equal(400, parts.Scored.Requests);
        Assert.Equal((0, 0), (parts.Gate.Running, parts.Gate.Waiting));
    }

    // A task, its state machines, and room in lists that are kept; nothing a candidate.
    [Theory]
    [InlineData(10)]
    [InlineData(500)]
    public async Task A_request_allocates_little_however_large(int candidates)
    {
        using var sample = new SampleStudent("mlp");
        using var parts = new BatchedVersions(sample, maxCandidates: 2 * candidates);
        var runs = Enumerable.Range(0, 2).Select(i =>
        {
            var run = parts[1].Rent();
            parts[1].Decode(BatchedVersions.Call(sample.Request(candidates, seed: i)), run);
            return run;
        }).ToArray();
        var bytes = 0L;
        for (var batch = 0; batch < 60; batch++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var first = parts.Batcher.TryScoreAsync(parts[1], runs[0], CallBudget.Unlimited);
            // Fills the batch, which runs on this thread.
            var second = parts.Batcher.TryScoreAsync(parts[1], runs[1], CallBudget.Unlimited);
            bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(await first && await second);
        }
        Assert.InRange(bytes / 2, 1, 1024);
        foreach (var run in runs)
            parts[1].Return(run);
    }
}
