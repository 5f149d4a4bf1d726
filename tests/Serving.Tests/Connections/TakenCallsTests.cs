using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Connections;

/// <summary>Calls answered where their bytes arrive, by a whole server: no client can tell them from Kestrel's, but for the date that those have.</summary>
public sealed class TakenCallsTests : IAsyncLifetime
{
    private readonly SampleStudent sample = new("mlp");
    private RunningServer server = null!;

    private AdmissionGate Gate => server.Host.Services.GetRequiredService<AdmissionGate>();

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 10_000 });

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        sample.Dispose();
    }

    [Fact]
    public async Task The_reply_is_the_one_that_Kestrel_sends()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var request = sample.Request(candidates: 300, seed: 1);
        request.TopK = 20;
        request.WithLogits = true;
        await client.SendAsync(WireFrames.Call(1, request));
        // One that adds to the connection's table has to be Kestrel's.
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Indexed()), WireFrames.Body(3, request));
        await client.ReadEndAsync(1);
        await client.EndOfAsync(3);

        Assert.True(client.WasTaken(1));
        Assert.False(client.WasTaken(3));
        var (ours, kestrels) = (client.ReplyOf(1), client.ReplyOf(3));
        kestrels.ModelAgeSeconds = ours.ModelAgeSeconds;
        Assert.Equal(kestrels, ours);
        Assert.Equal(20, ours.Index.Count);
    }

    [Fact]
    public async Task Those_of_real_clients_are_taken()
    {
        for (var i = 0; i < 20; i++)
            await server.Client.RankAsync(sample.Request(candidates: 500, seed: i), deadline: DateTime.UtcNow.AddMinutes(1));
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        Assert.Equal((20, 20), (metrics.TakenCalls, metrics.Requests));
        var before = metrics.TakenCalls;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < 20; i++)
                await server.Client.RankAsync(sample.Request(candidates: 500, seed: i));
        })));
        Assert.Equal(160, metrics.TakenCalls - before);
    }

    [Fact]
    public async Task However_it_comes_it_is_answered()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var message = WireFrames.Message(sample.Request(candidates: 50, seed: 1).ToByteArray());
        byte[] bytes = [.. WireFrames.Headers(1, WireFrames.Plain()), .. WireFrames.Number(FrameType.WindowUpdate, 1, 1000), .. WireFrames.Data(1, message.AsSpan(0, 3), ends: false),
            .. WireFrames.Data(1, message.AsSpan(3), ends: false), .. WireFrames.Data(1, [])];
        foreach (var piece in bytes.Chunk(97))
            await client.SendAsync(piece);
        await client.ReadEndAsync(1);
        Assert.True(client.WasTaken(1));

        // Two that are sent in turns.
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()), WireFrames.Data(3, message.AsSpan(0, 10), ends: false), WireFrames.Headers(5, WireFrames.Plain()),
            WireFrames.Data(5, message), WireFrames.Data(3, message.AsSpan(10)));
        await client.EndOfAsync(3, 5);
        Assert.Equal((true, true), (client.WasTaken(3), client.WasTaken(5)));
        Assert.Equal(50, client.ReplyOf(3).Targets[0].Scores.Count);
        Assert.Equal(client.ReplyOf(3).Targets, client.ReplyOf(5).Targets);
    }

    [Fact]
    public async Task Errors_are_told_as_Kestrel_tells_them()
    {
        var wrong = sample.Request(candidates: 5, seed: 1);
        wrong.Item[0].Name = "naïve 100 %";
        byte[][] bodies = [WireFrames.Message(wrong.ToByteArray()), WireFrames.Message([0xff, 0xff, 0xff]), WireFrames.Message(new RankRequest { Model = "other" }.ToByteArray()), WireFrames.Message([])];
        foreach (var body in bodies)
        {
            // A connection each: Kestrel compresses by a table.
            using var client = await WireClient.ConnectAsync(server.Host.Port);
            await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Data(1, body), WireFrames.Headers(3, WireFrames.Indexed()), WireFrames.Data(3, body));
            await client.EndOfAsync(1, 3);
            Assert.Equal((true, false), (client.WasTaken(1), client.WasTaken(3)));
            Assert.Equal(Status(client, 3), Status(client, 1));
        }
        // As real clients read them.
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(wrong));
        Assert.Equal(StatusCode.InvalidArgument, e.StatusCode);
        Assert.Contains("naïve 100 %", e.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_no_message_is_told_and_the_rest_of_it_dropped()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var message = WireFrames.Message(sample.Request(candidates: 5, seed: 1).ToByteArray());
        byte[] compressed = [1, .. message.AsSpan(1)], huge = [0, 0x7f, 0xff, 0xff, 0xff], longer = [.. message, 0];
        var stream = 1;
        foreach (var (body, status) in ((byte[], string)[])[(compressed, "13"), (huge, "8"), (longer, "13"), (message[..^1], "13"), (message[..3], "13")])
        {
            var isShort = body.Length < message.Length && body != huge;
            await client.SendAsync(WireFrames.Headers(stream, WireFrames.Plain()), WireFrames.Data(stream, body, ends: isShort));
            Assert.True((await client.ReadEndAsync(stream)).Holds($"grpc-status{(char)status.Length}{status}"));
            await client.SendAsync(isShort ? [] : WireFrames.Data(stream, new byte[20]), WireFrames.Number(FrameType.ResetStream, stream, 8));
            stream += 2;
        }
        // The connection is whole, and so is the line.
        await client.SendAsync(WireFrames.Call(stream, sample.Request(candidates: 5, seed: 1)));
        await client.ReadEndAsync(stream);
        Assert.True(client.WasTaken(stream));
        // Of those that were not at their end the client is asked to keep the rest.
        Assert.Equal([(1, 0), (3, 0), (5, 0)], client.Seen.Where(f => f.Header.Type == FrameType.ResetStream).Select(f => (f.Header.Stream, f.Number)));
        Assert.Equal((0, 0), (Gate.Running, Gate.Waiting));
    }

    [Fact]
    public async Task A_client_that_compresses_is_Kestrels()
    {
        var request = sample.Request(candidates: 50, seed: 1);
        var reply = await server.Client.RankAsync(request, new Metadata { { "grpc-internal-encoding-request", "gzip" } });
        Assert.Equal("r1", reply.RequestId);
        Assert.Equal(0, server.Host.Services.GetRequiredService<RankingMetrics>().TakenCalls);
    }

    // Else a client could have the server keep requests without end.

    [Fact]
    public async Task A_deadline_that_has_passed_is_told()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        byte[] timeout = [0x00, 12, .. "grpc-timeout"u8, 2, .. "1n"u8];
        await client.SendAsync(WireFrames.Headers(1, [.. WireFrames.Plain(), .. timeout]), WireFrames.Body(1, sample.Request(candidates: 5, seed: 1)));
        Assert.True((await client.ReadEndAsync(1)).Holds("grpc-status\u00014"));
        Assert.True(client.WasTaken(1));
    }

    [Fact]
    public async Task One_that_its_client_gives_up_is_not_ranked()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Call(1, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 1, "it waits in line");
        await client.SendAsync(WireFrames.Number(FrameType.ResetStream, 1, 8), WireFrames.Number(FrameType.WindowUpdate, 1, 100), WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await client.ReadAsync(f => f.Header.Type == FrameType.Ping);
        Gate.Leave(null);
        await Eventually.HoldsAsync(() => metrics.Requests == 1, "it has ended");
        await client.SendAsync(WireFrames.Call(3, sample.Request(candidates: 5, seed: 1)));
        await client.ReadEndAsync(3);
        Assert.DoesNotContain(client.Seen, f => f.Header.Stream == 1);
        Assert.True(client.WasTaken(3));
    }

    [Fact]
    public async Task A_connection_that_ends_takes_its_calls_along()
    {
        await Gate.EnterAsync();
        using (var client = await WireClient.ConnectAsync(server.Host.Port))
        {
            for (var stream = 1; stream < 20; stream += 2)
                await client.SendAsync(WireFrames.Call(stream, sample.Request(candidates: 5, seed: 1)));
            await Eventually.HoldsAsync(() => Gate.Waiting == 10, "they wait in line");
        }
        var cancelled = server.Host.Services.GetRequiredService<RankingMetrics>();
        Gate.Leave(null);
        await Eventually.HoldsAsync(() => cancelled.Requests == 10 && (Gate.Running, Gate.Waiting) == (0, 0), "all have left");
        Assert.Equal("r1", (await server.Client.RankAsync(sample.Request(candidates: 5, seed: 1))).RequestId);
    }

    [Fact]
    public async Task A_stop_waits_for_those_in_line()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Call(1, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 1, "it waits in line");
        // One that has begun is waited for too.
        var half = WireFrames.Message(sample.Request(candidates: 5, seed: 1).ToByteArray());
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()), WireFrames.Data(3, half.AsSpan(0, 9), ends: false), WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await client.ReadAsync(f => f.Header.Type == FrameType.Ping);
        var stop = Task.Run(server.Host.StopAsync);
        await Eventually.HoldsAsync(() => server.Host.Services.GetRequiredService<Microsoft.Extensions.Hosting.IHostApplicationLifetime>().ApplicationStopping.IsCancellationRequested, "it stops");
        // What comes now is Kestrel's, which waits for it as ever.
        await client.SendAsync(WireFrames.Call(5, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 2, "both wait in line");
        Assert.False(stop.IsCompleted);
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.EndOfAsync(1, 5);
        Assert.Equal((true, false), (client.WasTaken(1), client.WasTaken(5)));
        Assert.False(stop.IsCompleted);
        await client.SendAsync(WireFrames.Data(3, half.AsSpan(9)));
        await client.EndOfAsync(3);
        Assert.True(client.WasTaken(3));
        await stop;
    }

    // What gRPC says at the end, without what is Kestrel's own; it spells names and values out as we do.
    private static string Status(WireClient client, int stream)
    {
        var text = System.Text.Encoding.ASCII.GetString(client.Seen.Last(f => f.Header.Type == FrameType.Headers && f.Header.Stream == stream).Payload);
        // Kestrel has the client keep them.
        return text[text.IndexOf("grpc-status", StringComparison.Ordinal)..].Replace('@', '\0');
    }
}
