using System.Collections.Concurrent;
using System.Text.Json;
using Grpc.Core;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Requests of several clients in one run, through a real server.</summary>
public sealed class BatchedServerTests
{
    // Longer than any test waits for what makes a batch full.
    private const int LongestUs = 100_000;

    [Fact]
    public async Task Batched_requests_during_swaps_never_fail_and_never_mix_versions()
    {
        const int versions = 12;
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, batchUs: 500, batchCandidates: 60);
        var request = sample.Request(candidates: 20, seed: 77);
        var expected = new ConcurrentDictionary<long, float[]> { [1] = sample.Score(request) };
        using var done = new CancellationTokenSource();
        var clients = Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                var reply = await server.Client.RankAsync(request);
                for (var n = 0; n < 20; n++)
                    Assert.Equal(expected[reply.Version][2 * n], reply.Targets[0].Logits[n], 1e-4f * MathF.Max(1, MathF.Abs(expected[reply.Version][2 * n])));
            }
        })).ToArray();
        for (var version = 2; version <= versions; version++)
        {
            sample.Learn(seed: version);
            expected[version] = sample.Score(request);
            sample.Publish(server.Repository);
            await server.ServesAsync(version);
        }
        await done.CancelAsync();
        await Task.WhenAll(clients);
        var report = Batcher(server).Report();
        Assert.True(report.Requests > report.Batches, "no two requests ever shared a run");
        await server.DisposedAllButTheLastAsync();
    }

    // Two good ones fill the batch; the bad one, between them, never joins it.
    [Fact]
    public async Task A_bad_request_is_refused_by_itself()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, LongestUs, batchCandidates: 40);
        var first = server.Client.RankAsync(sample.Request(candidates: 20, seed: 1)).ResponseAsync;
        var bad = sample.Request(candidates: 20, seed: 2);
        bad.Item.RemoveAt(0);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(bad));
        Assert.Equal(StatusCode.InvalidArgument, e.StatusCode);
        Assert.Contains("article", e.Status.Detail, StringComparison.Ordinal);
        var last = await server.Client.RankAsync(sample.Request(candidates: 20, seed: 3));
        Assert.Equal(("r1", "r3"), ((await first).RequestId, last.RequestId));
    }

    // What one version can not score by itself either is told its caller, not its neighbours.
    [Fact]
    public async Task A_request_no_version_can_score_fails_alone()
    {
        using var sample = new SampleStudent("mlp");
        var bad = sample.Request(candidates: 20, seed: 1);
        var user = sample.Schema.User.Features.Single(f => f.Name == "user_id");
        sample.Tables[user.Table].Writable(user.Row(bad.User[0].Ints.Value[0])).Fill(3e38f);
        await using var server = await StartAsync(sample, LongestUs, batchCandidates: 40);
        server.Log.Expect("scoring failed with version 1");
        var spoilt = server.Client.RankAsync(bad).ResponseAsync;
        var good = await server.Client.RankAsync(sample.Request(candidates: 20, seed: 2));
        Assert.Equal(20, good.Targets[0].Scores.Count);
        Assert.Equal(StatusCode.Internal, (await Assert.ThrowsAsync<RpcException>(() => spoilt)).StatusCode);
    }

    [Fact]
    public async Task A_server_that_stops_answers_who_waits()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, LongestUs, batchCandidates: 1000);
        var waiting = server.Client.RankAsync(sample.Request(candidates: 20, seed: 1)).ResponseAsync;
        await Eventually.HoldsAsync(() => Batcher(server).Waiting == 1 || waiting.IsCompleted, "the request waits for others");
        await server.Host.StopAsync();
        Assert.Equal("r1", (await waiting).RequestId);
    }

    [Fact]
    public async Task Status_and_metrics_tell_of_batches()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, LongestUs, batchCandidates: 30);
        var first = server.Client.RankAsync(sample.Request(candidates: 20, seed: 1)).ResponseAsync;
        await server.Client.RankAsync(sample.Request(candidates: 10, seed: 2));
        await first;
        await server.Client.RankAsync(sample.Request(candidates: 31, seed: 3));
        var batching = JsonDocument.Parse(await server.Http.GetStringAsync("status.json")).RootElement.GetProperty("batching");
        Assert.Equal((LongestUs, 30), (batching.GetProperty("budget_us").GetInt32(), batching.GetProperty("max_candidates").GetInt32()));
        Assert.True(batching.GetProperty("is_on").GetBoolean());
        Assert.Equal(2, batching.GetProperty("requests").GetInt64());
        Assert.Equal(1, batching.GetProperty("bypassed").GetProperty("large").GetInt64());
        var text = await server.Http.GetStringAsync("metrics");
        Assert.Contains("\nkd_batch_requests_total 2\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_batch_bypassed_total{reason=\"large\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("\nkd_batching_on 1\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_options_nobody_waits_on_the_cpu()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        Assert.Null(server.Host.Services.GetService<RequestBatcher>());
        Assert.Equal(JsonValueKind.Null, JsonDocument.Parse(await server.Http.GetStringAsync("status.json")).RootElement.GetProperty("batching").ValueKind);
        Assert.Null(BatchingOptions.For(null, 100, false, InferenceRuntime.CpuDevice));
        Assert.Null(BatchingOptions.For(0, 100, false, InferenceRuntime.CudaDevice));
        Assert.Equal(BatchingOptions.CudaDefaultMicroseconds, BatchingOptions.For(null, 100, false, InferenceRuntime.CudaDevice)!.BudgetMicroseconds);
    }

    private static Task<RunningServer> StartAsync(SampleStudent sample, int batchUs, int batchCandidates) => RunningServer.StartAsync(sample,
        change: o => o with { Engine = EngineChoice.Onnx, BatchMicroseconds = batchUs, BatchCandidates = batchCandidates, BatchForced = true });

    private static RequestBatcher Batcher(RunningServer server) => server.Host.Services.GetRequiredService<RequestBatcher>();
}
