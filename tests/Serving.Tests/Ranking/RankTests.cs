using Google.Protobuf;
using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>Requests through a real channel, a real server and real versions, against scores computed from the formulas.</summary>
public sealed class RankTests(SharedServer shared) : IClassFixture<SharedServer>
{
    private readonly SampleStudent sample = shared.Sample;
    private readonly RunningServer server = shared.Server;

    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public async Task Replies_with_what_the_student_computes(string family)
    {
        using var student = new SampleStudent(family, seed: 5);
        await using var own = await RunningServer.StartAsync(student);
        foreach (var candidates in (int[])[1, 7, 500, 33])
        {
            var request = student.Request(candidates, seed: candidates);
            var reply = await own.Client.RankAsync(request);
            Assert.Equal(request.RequestId, reply.RequestId);
            Assert.Equal(SampleStudent.Model, reply.Model);
            Assert.Equal(1, reply.Version);
            Assert.Equal(own.Repository.Manifest(SampleStudent.Model, 1).WatermarkMs, reply.WatermarkMs);
            Assert.Empty(reply.Index);
            RequireScores(student, request, reply);
        }
    }

    [Fact]
    public async Task Raw_and_packed_columns_score_alike()
    {
        var request = sample.Request(candidates: 40, seed: 8);
        var raw = request.Clone();
        foreach (var column in raw.User.Concat(raw.Item))
        {
            if (column.ValuesCase == Column.ValuesOneofCase.Ints)
                column.RawInt64 = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<long>(column.Ints.Value.ToArray()));
            else if (column.ValuesCase == Column.ValuesOneofCase.Floats)
                column.RawFloat32 = ByteString.CopyFrom(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(column.Floats.Value.ToArray()));
        }
        Assert.Equal(await server.Client.RankAsync(request), await server.Client.RankAsync(raw));
    }

    [Fact]
    public async Task Columns_may_come_in_any_order()
    {
        var request = sample.Request(candidates: 12, seed: 9);
        var shuffled = request.Clone();
        shuffled.Item.Clear();
        shuffled.Item.AddRange(request.Item.Reverse());
        Assert.Equal(await server.Client.RankAsync(request), await server.Client.RankAsync(shuffled));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(10)]
    [InlineData(300)]
    public async Task Top_k_gives_the_best_first(int k)
    {
        var request = sample.Request(candidates: 300, seed: 4);
        var all = await server.Client.RankAsync(request);
        request.TopK = k;
        request.Targets.Add("buy");
        var best = await server.Client.RankAsync(request);
        var buy = all.Targets.Single(t => t.Target == "buy");
        var order = Enumerable.Range(0, 300).OrderByDescending(n => buy.Logits[n]).ThenBy(n => n).Take(k).ToList();
        Assert.Equal(order, best.Index);
        var target = Assert.Single(best.Targets);
        Assert.Equal("buy", target.Target);
        Assert.Equal(order.Select(n => buy.Scores[n]), target.Scores);
        Assert.Equal(order.Select(n => buy.Logits[n]), target.Logits);
    }

    [Fact]
    public async Task Logits_come_only_when_asked_for()
    {
        var request = sample.Request(candidates: 5, seed: 4);
        request.WithLogits = false;
        var reply = await server.Client.RankAsync(request);
        Assert.All(reply.Targets, t => Assert.Empty(t.Logits));
        Assert.All(reply.Targets, t => Assert.Equal(5, t.Scores.Count));
    }

    [Fact]
    public async Task An_empty_model_name_means_the_only_one()
    {
        var request = sample.Request(candidates: 2, seed: 4);
        request.Model = "";
        Assert.Equal(SampleStudent.Model, (await server.Client.RankAsync(request)).Model);
    }

    [Fact]
    public async Task Replies_of_a_stream_come_in_the_order_of_its_requests()
    {
        using var call = server.Client.RankStream();
        for (var i = 0; i < 50; i++)
        {
            var request = sample.Request(candidates: 1 + i % 17, seed: i);
            await call.RequestStream.WriteAsync(request);
        }
        await call.RequestStream.CompleteAsync();
        for (var i = 0; i < 50; i++)
        {
            Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
            Assert.Equal($"r{i}", call.ResponseStream.Current.RequestId);
            Assert.Equal(1 + i % 17, call.ResponseStream.Current.Targets[0].Scores.Count);
        }
        Assert.False(await call.ResponseStream.MoveNext(CancellationToken.None));
    }

    [Fact]
    public async Task A_refused_request_ends_the_stream_with_its_status()
    {
        using var call = server.Client.RankStream();
        await call.RequestStream.WriteAsync(sample.Request(candidates: 3, seed: 1));
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        var bad = sample.Request(candidates: 3, seed: 2);
        bad.CandidateCount = 0;
        await call.RequestStream.WriteAsync(bad);
        var e = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal(StatusCode.InvalidArgument, e.StatusCode);
        Assert.StartsWith("candidate_count:", e.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_passed_deadline_is_told_as_such()
    {
        var request = sample.Request(candidates: 2000, seed: 1);
        var outcomes = new HashSet<StatusCode>();
        for (var i = 0; i < 200; i++)
        {
            // While the server still works on one that gave up, it may rightly refuse the next: that one would not wait its turn.
            await RequireIdleAsync();
            try
            {
                await server.Client.RankAsync(request, deadline: DateTime.UtcNow.AddMilliseconds(1));
                outcomes.Add(StatusCode.OK);
            }
            catch (RpcException e)
            {
                outcomes.Add(e.StatusCode);
            }
        }
        Assert.Contains(StatusCode.DeadlineExceeded, outcomes);
        Assert.Subset(new HashSet<StatusCode> { StatusCode.OK, StatusCode.DeadlineExceeded }, outcomes);
        await RequireIdleAsync();
    }

    [Fact]
    public async Task A_cancelled_call_gives_its_lease_back()
    {
        // The gRPC layer may find the stream reset before it is told that the call is over.
        server.Log.Expect("The client reset the request stream");
        var request = sample.Request(candidates: 2000, seed: 1);
        for (var i = 0; i < 100; i++)
        {
            using var cancellation = new CancellationTokenSource();
            var call = server.Client.RankAsync(request, cancellationToken: cancellation.Token);
            await Task.Yield();
            await cancellation.CancelAsync();
            try
            {
                await call;
            }
            catch (RpcException e)
            {
                Assert.Equal(StatusCode.Cancelled, e.StatusCode);
            }
        }
        await RequireIdleAsync();
    }

    private async Task RequireIdleAsync()
    {
        await Eventually.HoldsAsync(() => server.Slot.Current!.Leases.Leases == 0, "every lease is back");
        await server.Client.RankAsync(sample.Request(candidates: 1, seed: 1));
    }

    private static void RequireScores(SampleStudent student, RankRequest request, RankReply reply)
    {
        var expected = student.Score(request);
        var targets = student.Schema.Targets;
        for (var t = 0; t < targets.Count; t++)
        {
            Assert.Equal(targets[t], reply.Targets[t].Target);
            Assert.Equal(request.CandidateCount, reply.Targets[t].Scores.Count);
            for (var n = 0; n < request.CandidateCount; n++)
            {
                var logit = expected[n * targets.Count + t];
                Assert.Equal(logit, reply.Targets[t].Logits[n], 1e-4f * MathF.Max(1, MathF.Abs(logit)));
                Assert.Equal(1 / (1 + MathF.Exp(-logit)), reply.Targets[t].Scores[n], 1e-5f);
            }
        }
    }
}
