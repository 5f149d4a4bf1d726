using System.Diagnostics;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Traffic;

public class RankingTrafficTests
{
    private static readonly TrafficOptions Steady = new() { RatePerSecond = 200, Seconds = 0.5, Arrivals = Arrivals.Constant, WarmUpRequests = 0 };

    [Fact]
    public async Task Every_intended_request_is_accounted_for()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 7)));
        var replied = 0;
        var traffic = new RankingTraffic(server.Client, Requests(), Steady) { Replied = (_, _) => Interlocked.Increment(ref replied) };
        await traffic.RunAsync(CancellationToken.None);

        var figures = traffic.Figures();
        Assert.Equal(100, figures.Requests);
        Assert.Equal(100, figures.Served);
        Assert.Equal(100, replied);
        Assert.Equal(0, figures.InFlight);
        Assert.Empty(figures.Errors);
        Assert.Equal(100, figures.Latency.Count);
        Assert.Equal(100, traffic.Record.Samples().Length);
        Assert.Equal((7, 7000, 100), (figures.Versions[0].Version, figures.Versions[0].WatermarkMs, figures.Versions[0].Replies));
        Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - figures.Versions[0].FirstReplyUnixMs, 0, 60_000);
    }

    // The server holds everything back for 300 ms: a closed loop would see one slow request, an open loop sees all that were due meanwhile.
    [Fact]
    public async Task A_stall_is_charged_to_every_request_due_while_it_lasts()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var arrived = 0;
        await using var server = await ScriptedRanking.StartAsync(async r =>
        {
            if (Interlocked.Increment(ref arrived) == 1)
                _ = Task.Delay(300).ContinueWith(_ => gate.SetResult(), TaskScheduler.Default);
            await gate.Task;
            return ScriptedRanking.Reply(r, 1);
        });
        var traffic = new RankingTraffic(server.Client, Requests(), Steady);
        await traffic.RunAsync(CancellationToken.None);

        var figures = traffic.Figures();
        Assert.Equal(100, figures.Served);
        Assert.True(figures.Latency.MaxUs >= 290_000, $"max {figures.Latency.MaxUs} us");

        // Due during the stall, evenly: 60 requests of 100, waiting 0 to 300 ms.
        Assert.True(traffic.Record.Samples().Count(s => s.LatencyUs > 100_000) >= 35);
    }

    [Fact]
    public async Task What_exceeds_the_limit_in_flight_is_an_error_not_a_gap()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await ScriptedRanking.StartAsync(async r =>
        {
            await gate.Task;
            return ScriptedRanking.Reply(r, 1);
        });
        var traffic = new RankingTraffic(server.Client, Requests(), Steady with { InFlightMax = 10, DeadlineMs = 60_000 });
        var run = traffic.RunAsync(CancellationToken.None);
        await Eventually.HoldsAsync(() => traffic.Figures().Requests >= 100, "all requests are counted");
        gate.SetResult();
        await run;

        var figures = traffic.Figures();
        Assert.Equal(10, figures.Served);
        Assert.Equal(90, figures.Errors["in_flight_limit"]);
        Assert.Equal(100, figures.Served + figures.ErrorCount);
    }

    [Fact]
    public async Task Refusals_and_wrong_replies_are_counted_by_reason()
    {
        await using var server = await ScriptedRanking.StartAsync(r =>
        {
            var reply = ScriptedRanking.Reply(r, 5);
            switch (Number(r) % 5)
            {
                case 1:
                    throw new RpcException(new Status(StatusCode.ResourceExhausted, "queue is full"));
                case 2:
                    reply.Targets[0].Scores[3] = float.NaN;
                    break;
                case 3:
                    reply.Targets[0].Scores.RemoveAt(0);
                    break;
                case 4:
                    reply.RequestId = "another";
                    break;
            }

            return Task.FromResult(reply);
        });
        var traffic = new RankingTraffic(server.Client, Requests(), Steady);
        await traffic.RunAsync(CancellationToken.None);

        var figures = traffic.Figures();
        Assert.Equal(20, figures.Served);
        Assert.Equal(
            new Dictionary<string, long> { ["ResourceExhausted"] = 20, ["score_out_of_range"] = 20, ["score_count"] = 20, ["request_id_differs"] = 20 }.OrderBy(e => e.Key),
            figures.Errors.OrderBy(e => e.Key));
        Assert.Equal("queue is full", traffic.Record.FirstError);
    }

    // Requests sent after a reply by version 2 was received must not be scored by version 1 again.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_version_that_goes_back_is_an_error_unless_rollback_is_allowed(bool allowRollback)
    {
        RankingTraffic? traffic = null;
        // Version 2 from the 26th request on, until the client has seen it.
        await using var server = await ScriptedRanking.StartAsync(r =>
            Task.FromResult(ScriptedRanking.Reply(r, Number(r) <= 25 || traffic!.Record.VersionSeen >= 2 ? 1 : 2)));
        using var stop = new CancellationTokenSource();
        traffic = new RankingTraffic(server.Client, Requests(), Steady with { AllowRollback = allowRollback, Seconds = double.PositiveInfinity });
        var run = traffic.RunAsync(stop.Token);
        await Eventually.HoldsAsync(() => traffic.Record.VersionSeen >= 2, "version 2 is seen");
        var before = traffic.Figures().Requests;
        await Eventually.HoldsAsync(() => traffic.Figures().Requests >= before + 20, "20 more are sent");
        await stop.CancelAsync();
        await run;

        var figures = traffic.Figures();
        Assert.Equal([1L, 2L], figures.Versions.Select(v => v.Version));
        Assert.Equal(figures.Requests, figures.Served + figures.ErrorCount);
        Assert.Equal(allowRollback ? [] : ["version_went_back"], figures.Errors.Keys);
        // All of those 20 and what followed, and perhaps the last few before.
        Assert.InRange(figures.ErrorCount, allowRollback ? 0 : figures.Requests - before, figures.Requests);
    }

    [Fact]
    public async Task A_server_that_is_away_is_an_error_of_every_request()
    {
        var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 1)));
        var address = server.Address;
        await server.DisposeAsync();
        using var channel = Grpc.Net.Client.GrpcChannel.ForAddress(address);
        var traffic = new RankingTraffic(new Ranking.RankingClient(channel), Requests(), Steady with { Seconds = 0.1 });
        await traffic.RunAsync(CancellationToken.None);
        Assert.Equal(20, traffic.Figures().Errors["Unavailable"]);
    }

    [Fact]
    public async Task Warm_up_requests_are_sent_first_and_not_counted()
    {
        var ids = new System.Collections.Concurrent.ConcurrentQueue<string>();
        await using var server = await ScriptedRanking.StartAsync(r =>
        {
            ids.Enqueue(r.RequestId);
            return Task.FromResult(ScriptedRanking.Reply(r, 1));
        });
        var traffic = new RankingTraffic(server.Client, Requests(), Steady with { WarmUpRequests = 5 });
        await traffic.RunAsync(CancellationToken.None);

        Assert.Equal(Enumerable.Range(0, 5).Select(n => $"warm-up-{n}"), ids.Take(5));
        Assert.Equal(105, ids.Count);
        Assert.Equal((100, 100), (traffic.Figures().Requests, traffic.Figures().Served));
    }

    [Fact]
    public async Task Stopping_ends_the_run_without_error()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 1)));
        using var stop = new CancellationTokenSource();
        var traffic = new RankingTraffic(server.Client, Requests(), Steady with { Seconds = double.PositiveInfinity });
        var run = traffic.RunAsync(stop.Token);
        await Eventually.HoldsAsync(() => traffic.Figures().Served >= 10, "some are served");
        await stop.CancelAsync();
        await run.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal(0, traffic.Figures().ErrorCount);
        Assert.Equal(traffic.Figures().Requests, traffic.Figures().Served);
    }

    [Fact]
    public async Task A_source_that_fails_fails_the_run()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 1)));
        var broken = new RankingRequests(_ => throw new DatasetException("line 7"), () => 0);
        var traffic = new RankingTraffic(server.Client, broken, Steady);
        var error = await Assert.ThrowsAsync<DatasetException>(() => traffic.RunAsync(CancellationToken.None));
        Assert.Equal("line 7", error.Message);
    }

    // What a source needs to make a request must not delay the ones prepared before it, nor shift any intended time.
    [Fact]
    public async Task Intended_times_do_not_depend_on_how_long_a_request_takes_to_make()
    {
        await using var server = await ScriptedRanking.StartAsync(r => Task.FromResult(ScriptedRanking.Reply(r, 1)));
        var offsets = new List<double>();
        var source = Requests();
        var slow = source with
        {
            Next = at =>
            {
                offsets.Add(at);
                if (offsets.Count == 50)
                    Thread.Sleep(200);
                return source.Next(at);
            },
        };
        var traffic = new RankingTraffic(server.Client, slow, Steady);
        var clock = Stopwatch.StartNew();
        await traffic.RunAsync(CancellationToken.None);

        Assert.Equal(Enumerable.Range(0, 100).Select(n => n / 200.0), offsets);
        Assert.Equal(100, traffic.Figures().Served);
        Assert.True(clock.Elapsed.TotalSeconds < 10);
    }

    [Fact]
    public void Latency_within_windows_and_outside_them_adds_up()
    {
        var record = new TrafficRecord();
        for (var n = 0; n < 100; n++)
        {
            record.TryBegin(1000);
            record.Served(new TrafficSample(1000 + (n * 10), LatencyUs: 5000, Version: 1), 0);
        }

        // [1200, 1290]: sent at 1200..1290; the one sent at 1195 and answered at 1200 does not exist, 1190 + 5 < 1200.
        (long, long)[] windows = [(1200, 1290), (1250, 1260)];
        Assert.Equal(10, record.Latency(windows).Count);
        Assert.Equal(90, record.Latency(windows, inside: false).Count);
        Assert.Equal(11, record.Latency([(1195, 1290)]).Count);
    }

    private static RankingRequests Requests()
    {
        var number = 0;
        return new RankingRequests(_ => new RankRequest { RequestId = $"r-{++number}", CandidateCount = 8 }, () => 0);
    }

    private static int Number(RankRequest request) => int.Parse(request.RequestId[2..]);
}
