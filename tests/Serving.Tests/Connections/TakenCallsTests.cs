using System.Buffers.Binary;
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
        await client.SendAsync(Call(1, request));
        // One that adds to the connection's table has to be Kestrel's.
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Indexed()), Body(3, request));
        await client.ReadEndAsync(1);
        await EndOfAsync(client, 3);

        Assert.True(IsOurs(client, 1));
        Assert.False(IsOurs(client, 3));
        var (ours, kestrels) = (Reply(client, 1), Reply(client, 3));
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
        Assert.True(IsOurs(client, 1));

        // Two that are sent in turns.
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()), WireFrames.Data(3, message.AsSpan(0, 10), ends: false), WireFrames.Headers(5, WireFrames.Plain()),
            WireFrames.Data(5, message), WireFrames.Data(3, message.AsSpan(10)));
        await EndOfAsync(client, 3, 5);
        Assert.Equal((true, true), (IsOurs(client, 3), IsOurs(client, 5)));
        Assert.Equal(50, Reply(client, 3).Targets[0].Scores.Count);
        Assert.Equal(Reply(client, 3).Targets, Reply(client, 5).Targets);
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
            await EndOfAsync(client, 1, 3);
            Assert.Equal((true, false), (IsOurs(client, 1), IsOurs(client, 3)));
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
        await client.SendAsync(Call(stream, sample.Request(candidates: 5, seed: 1)));
        await client.ReadEndAsync(stream);
        Assert.True(IsOurs(client, stream));
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
    public async Task Too_much_that_is_not_whole_is_refused()
    {
        const int Piece = 200 * 1024, Calls = 60;
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        byte[] beginning = [0, 0, 0x10, 0, 0, .. new byte[Piece]];
        for (var stream = 1; stream < 2 * Calls; stream += 2)
            await client.SendAsync(WireFrames.Headers(stream, WireFrames.Plain()), WireFrames.Data(stream, beginning, ends: false));
        await client.ReadEndAsync(2 * Calls - 1);
        var refused = client.Seen.Count(f => f.Header.Type == FrameType.Headers && f.Holds("grpc-status\u00018"));
        Assert.InRange(refused, Calls - 41, Calls - 39);
        await client.SendAsync([.. Enumerable.Range(0, Calls).Select(i => WireFrames.Number(FrameType.ResetStream, 2 * i + 1, 8)), .. Call(2 * Calls + 1, sample.Request(candidates: 5, seed: 1))]);
        await client.ReadEndAsync(2 * Calls + 1);
        Assert.True(IsOurs(client, 2 * Calls + 1));
    }

    [Fact]
    public async Task A_deadline_that_has_passed_is_told()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        byte[] timeout = [0x00, 12, .. "grpc-timeout"u8, 2, .. "1n"u8];
        await client.SendAsync(WireFrames.Headers(1, [.. WireFrames.Plain(), .. timeout]), Body(1, sample.Request(candidates: 5, seed: 1)));
        Assert.True((await client.ReadEndAsync(1)).Holds("grpc-status\u00014"));
        Assert.True(IsOurs(client, 1));
    }

    [Fact]
    public async Task Replies_wait_for_the_window_that_the_client_gives()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var request = sample.Request(candidates: 1000, seed: 1);
        for (var stream = 1; stream < 60; stream += 2)
            await client.SendAsync(stream == 5 ? [WireFrames.Headers(stream, WireFrames.Indexed()), Body(stream, request)] : Call(stream, request));
        // Behind all of them: what needs no window is not held up.
        await client.SendAsync(WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await Eventually.HoldsAsync(() => server.Host.Services.GetRequiredService<RankingMetrics>().Requests == 30, "all are ranked");
        await client.ReadAsync(f => f.Header is { Type: FrameType.Ping, Flags: Http2Frame.Acknowledgement });
        var ended = client.Seen.Count(f => f.Header.Has(Http2Frame.EndStream) && f.Header.Type is FrameType.Headers or FrameType.Data);
        for (var credit = 0; ended < 30;)
        {
            var sent = client.Seen.Where(f => f.Header.Type == FrameType.Data).Sum(f => f.Header.Length);
            Assert.True(sent <= ConnectionOutput.InitialWindow + credit, $"{sent} bytes were sent, {ConnectionOutput.InitialWindow + credit} were allowed");
            await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 0, 20_000));
            credit += 20_000;
            await client.ReadAsync(f => f.Header.Type is FrameType.Headers or FrameType.Data && f.Header.Has(Http2Frame.EndStream));
            ended++;
        }
        for (var stream = 3; stream < 60; stream += 2)
            Assert.Equal(Reply(client, 1).Targets, Reply(client, stream).Targets);
    }

    // Else it could have the server make replies without end.
    [Fact]
    public async Task A_client_that_takes_no_replies_is_left_to_Kestrel()
    {
        const int Calls = 40;
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var request = sample.Request(candidates: 1000, seed: 1);
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        for (var i = 0; i < Calls; i++)
        {
            await client.SendAsync(Call(2 * i + 1, request));
            await Eventually.HoldsAsync(() => metrics.Requests == i + 1, "it is ranked");
        }
        await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 0, 1_000_000));
        var streams = Enumerable.Range(0, Calls).Select(i => 2 * i + 1).ToArray();
        await EndOfAsync(client, streams);
        Assert.All(streams, stream => Assert.Equal(1000, Reply(client, stream).Targets[0].Scores.Count));
        // 65,535 bytes went out, 262,144 wait: some 20 replies.
        Assert.InRange(streams.Count(stream => IsOurs(client, stream)), 18, 25);
        await client.SendAsync(Call(2 * Calls + 1, request));
        await EndOfAsync(client, 2 * Calls + 1);
        Assert.True(IsOurs(client, 2 * Calls + 1));
    }

    [Fact]
    public async Task A_reply_is_sent_as_far_as_the_client_takes_of_its_stream()
    {
        using var client = WireClient.Connect(server.Host.Port);
        await client.SendAsync(WireFrames.Preface, InitialWindow(4096), WireFrames.SettingsAck);
        var request = sample.Request(candidates: 1000, seed: 1);
        await client.SendAsync(Call(1, request));
        await client.SendAsync(Call(3, request));
        await client.SendAsync(Call(5, sample.Request(candidates: 5, seed: 1)));
        await client.ReadEndAsync(5);
        Assert.Equal((4096, 4096), (BodyOf(1), BodyOf(3)));
        await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 1, 100));
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 1 });
        Assert.Equal(4196, BodyOf(1));
        // Takes back what it had granted: what comes next counts from below nothing.
        await client.SendAsync(InitialWindow(1000), WireFrames.Number(FrameType.WindowUpdate, 1, 3096), WireFrames.Number(FrameType.WindowUpdate, 1, 50));
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 1 });
        Assert.Equal(4246, BodyOf(1));
        await client.SendAsync(InitialWindow(60_000));
        await EndOfAsync(client, 1, 3);
        Assert.Equal(1000, Reply(client, 1).Targets[0].Scores.Count);
        Assert.Equal(Reply(client, 1).Targets, Reply(client, 3).Targets);
        Assert.True(IsOurs(client, 1) && IsOurs(client, 3));

        // One that is given up meanwhile is forgotten.
        await client.SendAsync([InitialWindow(10), .. Call(7, request)]);
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 7 });
        await client.SendAsync(WireFrames.Number(FrameType.ResetStream, 7, 8), InitialWindow(60_000), WireFrames.Number(FrameType.WindowUpdate, 7, 100_000));
        await client.SendAsync(Call(9, request));
        await client.ReadEndAsync(9);
        Assert.Equal(10, BodyOf(7));

        static byte[] InitialWindow(int bytes) => WireFrames.Frame(FrameType.Settings, 0, 0, [0, 4, (byte)(bytes >> 24), (byte)(bytes >> 16), (byte)(bytes >> 8), (byte)bytes]);

        int BodyOf(int stream) => client.Seen.Where(f => f.Header.Type == FrameType.Data && f.Header.Stream == stream).Sum(f => f.Header.Length);
    }

    [Fact]
    public async Task One_that_its_client_gives_up_is_not_ranked()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        await Gate.EnterAsync();
        await client.SendAsync(Call(1, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 1, "it waits in line");
        await client.SendAsync(WireFrames.Number(FrameType.ResetStream, 1, 8), WireFrames.Number(FrameType.WindowUpdate, 1, 100), WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await client.ReadAsync(f => f.Header.Type == FrameType.Ping);
        Gate.Leave(null);
        await Eventually.HoldsAsync(() => metrics.Requests == 1, "it has ended");
        await client.SendAsync(Call(3, sample.Request(candidates: 5, seed: 1)));
        await client.ReadEndAsync(3);
        Assert.DoesNotContain(client.Seen, f => f.Header.Stream == 1);
        Assert.True(IsOurs(client, 3));
    }

    [Fact]
    public async Task A_connection_that_ends_takes_its_calls_along()
    {
        await Gate.EnterAsync();
        using (var client = await WireClient.ConnectAsync(server.Host.Port))
        {
            for (var stream = 1; stream < 20; stream += 2)
                await client.SendAsync(Call(stream, sample.Request(candidates: 5, seed: 1)));
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
        await client.SendAsync(Call(1, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 1, "it waits in line");
        // One that has begun is waited for too.
        var half = WireFrames.Message(sample.Request(candidates: 5, seed: 1).ToByteArray());
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()), WireFrames.Data(3, half.AsSpan(0, 9), ends: false), WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await client.ReadAsync(f => f.Header.Type == FrameType.Ping);
        var stop = Task.Run(server.Host.StopAsync);
        await Eventually.HoldsAsync(() => server.Host.Services.GetRequiredService<Microsoft.Extensions.Hosting.IHostApplicationLifetime>().ApplicationStopping.IsCancellationRequested, "it stops");
        // What comes now is Kestrel's, which waits for it as ever.
        await client.SendAsync(Call(5, sample.Request(candidates: 5, seed: 1)));
        await Eventually.HoldsAsync(() => Gate.Waiting == 2, "both wait in line");
        Assert.False(stop.IsCompleted);
        Gate.Leave(Stopwatch.GetTimestamp());
        await EndOfAsync(client, 1, 5);
        Assert.Equal((true, false), (IsOurs(client, 1), IsOurs(client, 5)));
        Assert.False(stop.IsCompleted);
        await client.SendAsync(WireFrames.Data(3, half.AsSpan(9)));
        await EndOfAsync(client, 3);
        Assert.True(IsOurs(client, 3));
        await stop;
    }

    private static byte[][] Call(int stream, RankRequest request) => [WireFrames.Headers(stream, WireFrames.Plain()), Body(stream, request)];

    private static byte[] Body(int stream, RankRequest request) => WireFrames.Data(stream, WireFrames.Message(request.ToByteArray()));

    // Kestrel ends a stream with its trailers, or with an empty body.
    private static async Task EndOfAsync(WireClient client, params int[] streams)
    {
        foreach (var stream in streams)
        {
            if (!client.Seen.Any(Ends))
                await client.ReadAsync(Ends);

            bool Ends(WireFrame f) => f.Header.Type is FrameType.Headers or FrameType.Data && f.Header.Stream == stream && f.Header.Has(Http2Frame.EndStream);
        }
    }

    private static bool IsOurs(WireClient client, int stream)
    {
        var first = client.Seen.First(f => f.Header.Type == FrameType.Headers && f.Header.Stream == stream);
        // :status 200 from the static table, and a content type spelt out; Kestrel has its own order, and compresses by a table.
        return first.Payload.AsSpan().StartsWith(new byte[] { 0x88, 0x0f, 0x10 }) && first.Payload.Length < 1000 && first.Holds("application/grpc") && !first.Holds("GMT");
    }

    // What gRPC says at the end, without what is Kestrel's own; it spells names and values out as we do.
    private static string Status(WireClient client, int stream)
    {
        var text = System.Text.Encoding.ASCII.GetString(client.Seen.Last(f => f.Header.Type == FrameType.Headers && f.Header.Stream == stream).Payload);
        // Kestrel has the client keep them.
        return text[text.IndexOf("grpc-status", StringComparison.Ordinal)..].Replace('@', '\0');
    }

    private static RankReply Reply(WireClient client, int stream)
    {
        var body = client.Seen.Where(f => f.Header.Type == FrameType.Data && f.Header.Stream == stream).SelectMany(f => f.Payload).ToArray();
        Assert.Equal(body.Length - 5, BinaryPrimitives.ReadInt32BigEndian(body.AsSpan(1)));
        return RankReply.Parser.ParseFrom(body.AsSpan(5));
    }
}
