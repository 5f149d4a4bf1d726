using System.Diagnostics;
using Grpc.Core;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>What a client is told when it is not its fault.</summary>
public sealed class FaultTests
{
    [Fact]
    public async Task An_overloaded_server_refuses_at_once_and_says_when_to_come_back()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 0.5 });
        var gate = server.Host.Services.GetRequiredService<AdmissionGate>();
        await gate.EnterAsync();
        var request = sample.Request(candidates: 5, seed: 1);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request));
        Assert.Equal(StatusCode.ResourceExhausted, e.StatusCode);
        Assert.Equal("1", e.Trailers.GetValue("grpc-retry-pushback-ms"));
        gate.Leave(Stopwatch.GetTimestamp());
        await server.Client.RankAsync(request);
        Assert.Equal((0, 0), (gate.Running, gate.Waiting));
    }

    // What is no request at all is refused like any other: the server did not look at it.
    [Fact]
    public async Task An_overloaded_server_refuses_before_it_reads()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 0.5 });
        var gate = server.Host.Services.GetRequiredService<AdmissionGate>();
        await gate.EnterAsync();
        var spoilt = new Method<byte[], byte[]>(MethodType.Unary, "kdserving.v1.Ranking", "Rank", Marshallers.Create(b => b, b => b), Marshallers.Create(b => b, b => b));
        async Task<StatusCode> SendAsync() => (await Assert.ThrowsAsync<RpcException>(
            async () => await server.Channel.CreateCallInvoker().AsyncUnaryCall(spoilt, null, default, [0xff, 0xff]))).StatusCode;
        Assert.Equal(StatusCode.ResourceExhausted, await SendAsync());
        gate.Leave(Stopwatch.GetTimestamp());
        Assert.Equal(StatusCode.InvalidArgument, await SendAsync());
    }

    // The client gave up while its request stood in line: the work is not done, and the next one gets the turn.
    [Fact]
    public async Task Expired_work_is_dropped_unrun()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 10_000 });
        var gate = server.Host.Services.GetRequiredService<AdmissionGate>();
        await gate.EnterAsync();
        var request = sample.Request(candidates: 5, seed: 1);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request, deadline: DateTime.UtcNow.AddMilliseconds(100)));
        Assert.Equal(StatusCode.DeadlineExceeded, e.StatusCode);
        await Eventually.HoldsAsync(() => gate.Waiting == 1, "the server has the request in line");
        var next = server.Client.RankAsync(request).ResponseAsync;
        await Eventually.HoldsAsync(() => gate.Waiting == 2, "another one waits behind it");
        gate.Leave(Stopwatch.GetTimestamp());
        await next;
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        // The client's cancellation may come before the server's own clock says so.
        await Eventually.HoldsAsync(() => metrics.ByCode().GetValueOrDefault("DeadlineExceeded") + metrics.ByCode().GetValueOrDefault("Cancelled") == 1,
            "the expired request is done with");
        Assert.Equal(1, metrics.ByCode()["OK"]);
        // Candidates count when they are scored: one request's worth.
        Assert.Contains("\nkd_rank_candidates_total 5\n", await server.Http.GetStringAsync("metrics"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_score_that_is_not_finite_is_an_error_of_ours()
    {
        using var sample = new SampleStudent("mlp");
        var request = sample.Request(candidates: 5, seed: 1);
        var user = sample.Schema.User.Features.Single(f => f.Name == "user_id");
        // One user's row, which no golden request touches: finite, but the sums over it are not.
        sample.Tables[user.Table].Writable(user.Row(request.User[0].Ints.Value[0])).Fill(3e38f);
        await using var server = await RunningServer.StartAsync(sample);
        server.Log.Expect("scoring failed with version 1");
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request));
        Assert.Equal(StatusCode.Internal, e.StatusCode);
        Assert.DoesNotContain("NaN", e.Status.Detail, StringComparison.Ordinal);
        Assert.True(server.Log.Holds(LogLevel.Error, "scoring failed with version 1"));
        await server.Client.RankAsync(sample.Request(candidates: 5, seed: 2));
    }
}
