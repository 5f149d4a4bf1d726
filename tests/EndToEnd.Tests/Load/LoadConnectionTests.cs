using Grpc.Core;
using KdServing.Contracts;
using KdServing.EndToEnd.Tests.Traffic;
using KdServing.LoadTests.Load;
using KdServing.Serving.Connections;
using KdServing.Serving.Tests.Connections;

namespace KdServing.EndToEnd.Tests.Load;

/// <summary>The generator's own HTTP/2 against a real server.</summary>
public class LoadConnectionTests
{
    [Fact]
    public async Task Every_request_is_answered_once_and_names_its_version()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 300)));
        using var connection = Open(server);
        for (var n = 0; n < 500; n++)
            connection.Submit(n % 2, MonotonicClock.NowNs());
        var samples = Finished(connection);
        Assert.Equal(500, samples.Length);
        Assert.All(samples, s => Assert.Equal((Outcome.Served, 300), (s.Outcome, s.Version)));
        Assert.All(samples, s => Assert.InRange(s.LatencyNs, 1, 60_000_000_000));
    }

    // 2,000 candidates as raw int64 are 16 KB a column: the message needs several frames, and 300 of them more than the first windows.
    [Fact]
    public async Task Requests_larger_than_a_frame_and_than_the_window_arrive_whole()
    {
        var wrong = 0;
        await using var server = await ScriptedRanking.StartAsync(r =>
        {
            if (r.Item.Count != 4 || r.Item[3].RawInt64.Length != 16_000 || r.Item[3].RawInt64[15_999] != 7)
                Interlocked.Increment(ref wrong);
            return Task.FromResult(ScriptedRanking.Reply(r, 1));
        });
        var request = Request("large", 2000);
        for (var c = 0; c < 4; c++)
            request.Item.Add(new Column { Name = $"c{c}", RawInt64 = Google.Protobuf.ByteString.CopyFrom([.. Enumerable.Repeat((byte)7, 16_000)]) });
        using var connection = Open(server, requests: [request]);
        for (var n = 0; n < 300; n++)
            connection.Submit(0, MonotonicClock.NowNs());
        Assert.All(Finished(connection), s => Assert.Equal(Outcome.Served, s.Outcome));
        Assert.Equal(0, wrong);
    }

    // A server that asks for bodies one by one, in an order of its own.
    [Fact]
    public async Task Bodies_wait_until_each_is_asked_for()
    {
        using var server = new WireServer();
        var open = Task.Run(() => Open(server.Address, requests: [Large('a'), Large('b')]));
        await server.AcceptAsync();
        await server.SendAsync(WireServer.InitialWindow(0), WireFrames.Number(FrameType.WindowUpdate, 0, 1 << 30));
        using var connection = await open;
        foreach (var request in (int[])[0, 1, 0])
            connection.Submit(request, MonotonicClock.NowNs());
        connection.Send();
        await server.ReadAsync(f => f is { Type: FrameType.Headers, Stream: 5 });
        Assert.Empty(server.Bodies);
        // The third is of the same request as the first, which is refused meanwhile: frames are told apart by their stream alone.
        await server.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 5, 20_000));
        await server.ReadAsync(f => f is { Type: FrameType.Data, Stream: 5 });
        await server.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 3, 100_000));
        await server.ReadAsync(f => f.Type == FrameType.Data && f.Stream == 3 && f.Has(Http2Frame.EndStream));
        await server.SendAsync(WireServer.Refusal(1), WireFrames.Number(FrameType.ResetStream, 1, 0), WireServer.InitialWindow(100_000));
        await server.ReadAsync(f => f.Type == FrameType.Data && f.Stream == 5 && f.Has(Http2Frame.EndStream));
        Assert.Equal([3, 5], server.Bodies.Keys.Order());
        Assert.Equal(('b', 'a'), (server.Bodies[3][^1], server.Bodies[5][^1]));
        Assert.Equal(server.Bodies[3].Replace('b', 'a'), server.Bodies[5]);
        await server.SendAsync(WireServer.Refusal(3), WireServer.Refusal(5));
        Assert.Equal(Enumerable.Repeat(Outcome.ResourceExhausted, 3), Finished(connection).Select(s => s.Outcome));

        static RankRequest Large(char filling)
        {
            var request = Request($"{filling}", 2000);
            for (var c = 0; c < 4; c++)
                request.Item.Add(new Column { Name = $"c{c}", RawInt64 = Google.Protobuf.ByteString.CopyFrom([.. Enumerable.Repeat((byte)filling, 16_000)]) });
            return request;
        }
    }

    [Fact]
    public async Task Refusals_and_wrong_replies_are_told_apart()
    {
        var number = 0;
        await using var server = await ScriptedRanking.StartAsync(r =>
        {
            var reply = ScriptedRanking.Reply(r, 5);
            switch (Interlocked.Increment(ref number))
            {
                case 1:
                    throw new RpcException(new Status(StatusCode.ResourceExhausted, "full"));
                case 2:
                    reply.RequestId = "another";
                    break;
                case 3:
                    reply.Version = 0;
                    break;
                case 4:
                    reply.Targets.Clear();
                    break;
                case 6:
                    reply.Version = 4;
                    break;
                default:
                    break;
            }
            return Task.FromResult(reply);
        });
        using var connection = Open(server);
        var outcomes = new List<Outcome>();
        for (var n = 0; n < 6; n++)
        {
            connection.Submit(0, MonotonicClock.NowNs());
            outcomes.Add(Assert.Single(Finished(connection)).Outcome);
        }
        Assert.Equal(
            [Outcome.ResourceExhausted, Outcome.RequestIdDiffers, Outcome.NoVersion, Outcome.ScoreCount, Outcome.Served, Outcome.VersionWentBack], outcomes);
    }

    [Fact]
    public async Task Ranking_streams_carry_many_requests_and_answer_each()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 9)));
        using var connection = Open(server, streams: 2);
        for (var n = 0; n < 200; n++)
            connection.Submit(n % 2, MonotonicClock.NowNs());
        var samples = Finished(connection);
        Assert.Equal(200, samples.Length);
        Assert.All(samples, s => Assert.Equal((Outcome.Served, 9), (s.Outcome, s.Version)));
    }

    // A refused request ends its ranking stream; the next one finds a new stream.
    [Fact]
    public async Task A_ranking_stream_that_ended_is_opened_again()
    {
        var number = 0;
        await using var server = await ScriptedRanking.StartAsync(r => Interlocked.Increment(ref number) == 2
            ? throw new RpcException(new Status(StatusCode.InvalidArgument, "no"))
            : Task.FromResult(ScriptedRanking.Reply(r, 1)));
        using var connection = Open(server, streams: 1);
        var outcomes = new List<Outcome>();
        for (var n = 0; n < 3; n++)
        {
            connection.Submit(0, MonotonicClock.NowNs());
            outcomes.Add(Assert.Single(Finished(connection)).Outcome);
        }
        Assert.Equal([Outcome.Served, (Outcome)StatusCode.InvalidArgument, Outcome.Served], outcomes);
    }

    [Fact]
    public async Task What_waits_too_long_is_given_up()
    {
        var hold = new TaskCompletionSource<RankReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await ScriptedRanking.StartAsync(_ => hold.Task);
        using var connection = Open(server, abandonMs: 50);
        connection.Submit(0, MonotonicClock.NowNs());
        connection.Send();
        await Eventually.HoldsAsync(() =>
        {
            connection.Expire(MonotonicClock.NowNs());
            return connection.InFlight == 0;
        }, "the call is given up");
        var sample = Assert.Single(connection.TakeSamples());
        Assert.Equal(Outcome.Abandoned, sample.Outcome);
        Assert.InRange(sample.LatencyNs, 50_000_000, 60_000_000_000);
        hold.SetResult(new RankReply());
    }

    [Fact]
    public async Task A_lost_server_fails_what_was_under_way_and_is_found_again()
    {
        var hold = new TaskCompletionSource<RankReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var server = await ScriptedRanking.StartAsync(_ =>
        {
            arrived.TrySetResult();
            return hold.Task;
        });
        var port = server.Address.Port;
        using var connection = Open(server);
        connection.Submit(0, MonotonicClock.NowNs());
        connection.Send();
        await arrived.Task;
        var disposal = server.DisposeAsync();
        hold.SetException(new RpcException(new Status(StatusCode.Aborted, "")));
        await disposal;
        Assert.NotEqual(Outcome.Served, Assert.Single(Finished(connection)).Outcome);
        await Eventually.HoldsAsync(() => connection.LastLoss is not null, "the connection is lost");
        connection.Submit(0, MonotonicClock.NowNs());
        Assert.Equal(Outcome.Unavailable, Assert.Single(Finished(connection)).Outcome);

        await using var again = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 2)), port);
        Sample[] samples = [];
        await Eventually.HoldsAsync(() =>
        {
            connection.Submit(0, MonotonicClock.NowNs());
            samples = Finished(connection);
            return samples[0].Outcome != Outcome.Unavailable;
        }, "the connection is opened again");
        Assert.Equal((Outcome.Served, 2), (samples[0].Outcome, samples[0].Version));
    }

    [Fact]
    public void Nobody_there_is_said_at_once() =>
        Assert.Contains("does not answer", Assert.Throws<IOException>(() => LoadConnection.Open(Call(new("http://127.0.0.1:1"), 0, 100), [], new())).Message);

    private static LoadConnection Open(ScriptedRanking server, int streams = 0, int abandonMs = 10_000, RankRequest[]? requests = null) =>
        Open(server.Address, streams, abandonMs, requests);

    private static LoadConnection Open(Uri address, int streams = 0, int abandonMs = 10_000, RankRequest[]? requests = null)
    {
        requests ??= [Request("a", 3), Request("b", 3)];
        var headers = new HeaderBlock(address.Authority, "/kdserving.v1.Ranking/Rank", withDeadline: true);
        return LoadConnection.Open(Call(address, streams, abandonMs),
            [.. requests.Select(r => streams > 0 ? EncodedRequest.Message(r) : EncodedRequest.Unary(r, headers))], new());
    }

    private static LoadCall Call(Uri address, int streams, int abandonMs) => new(address, streams, DeadlineMs: 10_000, abandonMs, AllowRollback: false);

    private static RankRequest Request(string id, int candidates) => new() { RequestId = id, CandidateCount = candidates };

    private static Sample[] Finished(LoadConnection connection)
    {
        connection.Send();
        Assert.True(SpinWait.SpinUntil(() => connection.InFlight == 0, TimeSpan.FromSeconds(20)));
        return connection.TakeSamples();
    }
}
