using KdServing.Serving.Connections;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Connections;

/// <summary>What a client may cost that takes its replies slowly, or never ends its requests: by a whole server.</summary>
public sealed class TakenCallLimitsTests : IAsyncLifetime
{
    private readonly SampleStudent sample = new("mlp");
    private RunningServer server = null!;

    private OpenCalls OpenCalls => server.Host.Services.GetRequiredService<OpenCalls>();

    private RankingMetrics Metrics => server.Host.Services.GetRequiredService<RankingMetrics>();

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 10_000 });

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        sample.Dispose();
    }

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
        await client.SendAsync([.. Enumerable.Range(0, Calls).Select(i => WireFrames.Number(FrameType.ResetStream, 2 * i + 1, 8)), .. WireFrames.Call(2 * Calls + 1, sample.Request(candidates: 5, seed: 1))]);
        await client.ReadEndAsync(2 * Calls + 1);
        Assert.True(client.WasTaken(2 * Calls + 1));
    }

    [Fact]
    public async Task Replies_wait_for_the_window_that_the_client_gives()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var request = sample.Request(candidates: 1000, seed: 1);
        for (var stream = 1; stream < 60; stream += 2)
            await client.SendAsync(stream == 5 ? [WireFrames.Headers(stream, WireFrames.Indexed()), WireFrames.Body(stream, request)] : WireFrames.Call(stream, request));
        // Behind all of them: what needs no window is not held up.
        await client.SendAsync(WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await Eventually.HoldsAsync(() => Metrics.Requests == 30, "all are ranked");
        await client.ReadAsync(f => f.Header is { Type: FrameType.Ping, Flags: Http2Frame.Acknowledgement });
        var ended = client.Seen.Count(f => f.Header.Has(Http2Frame.EndStream) && f.Header.Type is FrameType.Headers or FrameType.Data);
        for (var credit = 0; ended < 30;)
        {
            var sent = client.Seen.Where(f => f.Header.Type == FrameType.Data).Sum(f => f.Header.Length);
            Assert.True(sent <= SharedWindow.Initial + credit, $"{sent} bytes were sent, {SharedWindow.Initial + credit} were allowed");
            await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 0, 20_000));
            credit += 20_000;
            await client.ReadAsync(f => f.Header.Type is FrameType.Headers or FrameType.Data && f.Header.Has(Http2Frame.EndStream));
            ended++;
        }
        for (var stream = 3; stream < 60; stream += 2)
            Assert.Equal(client.ReplyOf(1).Targets, client.ReplyOf(stream).Targets);
    }

    [Fact]
    public async Task A_client_that_takes_no_replies_is_left_to_Kestrel()
    {
        const int Calls = 40;
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        var request = sample.Request(candidates: 1000, seed: 1);
        for (var i = 0; i < Calls; i++)
        {
            await client.SendAsync(WireFrames.Call(2 * i + 1, request));
            await Eventually.HoldsAsync(() => Metrics.Requests == i + 1, "it is ranked");
        }
        await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 0, 1_000_000));
        var streams = Enumerable.Range(0, Calls).Select(i => 2 * i + 1).ToArray();
        await client.EndOfAsync(streams);
        Assert.All(streams, stream => Assert.Equal(1000, client.ReplyOf(stream).Targets[0].Scores.Count));
        // 65,535 bytes went out, 262,144 wait: some 20 replies.
        Assert.InRange(streams.Count(stream => client.WasTaken(stream)), 18, 25);
        await client.SendAsync(WireFrames.Call(2 * Calls + 1, request));
        await client.EndOfAsync(2 * Calls + 1);
        Assert.True(client.WasTaken(2 * Calls + 1));
    }

    [Fact]
    public async Task A_reply_is_sent_as_far_as_the_client_takes_of_its_stream()
    {
        using var client = WireClient.Connect(server.Host.Port);
        await client.SendAsync(WireFrames.Preface, InitialWindow(4096), WireFrames.SettingsAck);
        var request = sample.Request(candidates: 1000, seed: 1);
        await client.SendAsync(WireFrames.Call(1, request));
        await client.SendAsync(WireFrames.Call(3, request));
        await client.SendAsync(WireFrames.Call(5, sample.Request(candidates: 5, seed: 1)));
        // In any order: each is ranked by whoever is free.
        while (client.Seen.Count(f => f.Header is { Type: FrameType.Data, Stream: 1 or 3 }) < 2)
            await client.ReadAsync(f => f.Header.Type == FrameType.Data);
        await client.EndOfAsync(5);
        Assert.Equal((4096, 4096), (BodyOf(1), BodyOf(3)));
        // A stop would wait for them.
        await Eventually.HoldsAsync(() => OpenCalls.Count == 2, "the third has left");
        await client.SendAsync(WireFrames.Number(FrameType.WindowUpdate, 1, 100));
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 1 });
        Assert.Equal(4196, BodyOf(1));
        // Takes back what it had granted: what comes next counts from below nothing.
        await client.SendAsync(InitialWindow(1000), WireFrames.Number(FrameType.WindowUpdate, 1, 3096), WireFrames.Number(FrameType.WindowUpdate, 1, 50));
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 1 });
        Assert.Equal(4246, BodyOf(1));
        await client.SendAsync(InitialWindow(60_000));
        await client.EndOfAsync(1, 3);
        Assert.Equal(1000, client.ReplyOf(1).Targets[0].Scores.Count);
        Assert.Equal(client.ReplyOf(1).Targets, client.ReplyOf(3).Targets);
        Assert.True(client.WasTaken(1) && client.WasTaken(3));

        // One that is given up meanwhile is forgotten.
        await client.SendAsync([InitialWindow(10), .. WireFrames.Call(7, request)]);
        await client.ReadAsync(f => f.Header is { Type: FrameType.Data, Stream: 7 });
        await client.SendAsync(WireFrames.Number(FrameType.ResetStream, 7, 8), InitialWindow(60_000), WireFrames.Number(FrameType.WindowUpdate, 7, 100_000));
        await client.SendAsync(WireFrames.Call(9, request));
        await client.ReadEndAsync(9);
        Assert.Equal(10, BodyOf(7));
        await Eventually.HoldsAsync(() => OpenCalls.Count == 0, "all have left");

        static byte[] InitialWindow(int bytes) => WireFrames.Frame(FrameType.Settings, 0, 0, [0, 4, (byte)(bytes >> 24), (byte)(bytes >> 16), (byte)(bytes >> 8), (byte)bytes]);

        int BodyOf(int stream) => client.Seen.Where(f => f.Header.Type == FrameType.Data && f.Header.Stream == stream).Sum(f => f.Header.Length);
    }
}
