using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace KdServing.Serving.Tests.Connections;

/// <summary>While calls are refused, bodies wait with the client until their calls are let pass.</summary>
public sealed class RequestWindowTests : IAsyncLifetime
{
    private const int Difference = RequestWindow.Wide - RequestWindow.Narrow;

    private readonly SampleStudent sample = new("mlp");
    private RunningServer server = null!;

    private AdmissionGate Gate => server.Host.Services.GetRequiredService<AdmissionGate>();

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 0.5 });

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        sample.Dispose();
    }

    [Fact]
    public async Task The_first_refusal_asks_the_client_to_send_bodies_only_when_they_are_wanted()
    {
        var request = sample.Request(candidates: 3000, seed: 1);
        request.TopK = 10;
        var body = WireFrames.Message(request.ToByteArray());
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Data(1, body.AsSpan(0, 10_000), ends: false));
        await FillAsync(client);
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()));
        await client.ReadEndAsync(3);
        // Of the one that is on its way more is wanted: it is given back what the new setting takes from it.
        await client.ReadAsync(f => IsUpdate(f, 1));
        Assert.Single(client.Seen, IsNarrow);
        // What the client had sent before it knew is dropped; a second refusal says it once more of its own stream.
        await client.SendAsync(WireFrames.SettingsAck, WireFrames.Data(3, body.AsSpan(0, 16_000), ends: false), WireFrames.Headers(5, WireFrames.Plain()));
        await client.ReadAsync(f => f.Header is { Type: FrameType.ResetStream, Stream: 5 });
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.SendAsync(WireFrames.Headers(7, WireFrames.Plain()));
        await client.ReadAsync(f => IsUpdate(f, 7));
        await client.SendAsync(WireFrames.Data(7, body));
        await client.EndOfAsync(7);
        await client.SendAsync(WireFrames.Data(1, body.AsSpan(10_000)));
        await client.EndOfAsync(1);
        Assert.Equal(10, client.ReplyOf(1).Targets[0].Scores.Count);
        Assert.Equal(client.ReplyOf(1).Targets, client.ReplyOf(7).Targets);
        Assert.Single(client.Seen, IsNarrow);
        Assert.Equal([(1, Difference), (7, Difference)], client.Seen.Where(f => f.Header.Type == FrameType.WindowUpdate && f.Header.Stream > 0).Select(f => (f.Header.Stream, f.Number)));
        Assert.Equal([(3, 0), (5, 0)], client.Seen.Where(f => f.Header.Type == FrameType.ResetStream).Select(f => (f.Header.Stream, f.Number)));
    }

    // Kestrel goes on counting with the window it knows: a body it is being sent must not come to a halt, nor exceed it.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nothing_is_changed_while_Kestrel_is_sent_a_body(bool isGivenUp)
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain("/kdserving.v1.Ranking/RankStream")));
        await FillAsync(client);
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()));
        await client.ReadEndAsync(3);
        await client.SendAsync(isGivenUp ? WireFrames.Number(FrameType.ResetStream, 1, 8) : WireFrames.Data(1, []), WireFrames.Headers(5, WireFrames.Plain()));
        await client.ReadEndAsync(5);
        await client.ReadAsync(IsNarrow);
        Assert.True(client.Seen.FindIndex(IsNarrow) > client.Seen.FindIndex(f => f.Header is { Type: FrameType.Headers, Stream: 5 }));
        // One that begins from then on gets as much as Kestrel thinks it has.
        var message = WireFrames.Message(sample.Request(candidates: 1000, seed: 1).ToByteArray());
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.SendAsync(WireFrames.Headers(7, WireFrames.Plain("/kdserving.v1.Ranking/RankStream")));
        await client.ReadAsync(f => IsUpdate(f, 7));
        for (var sent = 0; sent + message.Length < RequestWindow.Wide; sent += message.Length)
            await client.SendAsync(WireFrames.Data(7, message, ends: false));
        await PingAsync(client);
        Assert.DoesNotContain(client.Seen, f => f.Header.Type is FrameType.GoAway || f.Header is { Type: FrameType.ResetStream, Stream: 7 });
    }

    [Fact]
    public void Bodies_are_sent_unasked_again_when_nobody_was_refused_for_a_while()
    {
        var (time, bodies, answers) = (new ManualTime(), new OpenBodies(), new FrameAnswers());
        using var metrics = new RankingMetrics();
        using var threads = new RankingThreads(count: 1);
        var calls = new TakenCalls(null!, new(Gate, metrics), new(Options.Create(new HostOptions())), null!, metrics, threads);
        var window = new RequestWindow(bodies, time);
        window.LetPass(1, answers);
        Assert.True(answers.IsEmpty);
        window.Refuse(calls, answers);
        Assert.Equal(Setting(RequestWindow.Narrow), answers.Take());
        time.Advance(RequestWindow.Calm / 2);
        window.Refuse(calls, answers);
        Assert.True(answers.IsEmpty);
        time.Advance(RequestWindow.Calm / 2);
        window.LetPass(3, answers);
        Assert.Equal(Update(3), answers.Take());
        // One that was given the difference would have more than Kestrel thinks.
        bodies.Begin(3);
        time.Advance(RequestWindow.Calm);
        window.LetPass(5, answers);
        Assert.Equal(Update(5), answers.Take());
        bodies.End(3);
        window.LetPass(7, answers);
        Assert.Equal(Setting(RequestWindow.Wide), answers.Take());
        window.LetPass(9, answers);
        Assert.True(answers.IsEmpty);

        static byte[] Setting(int bytes) => WireFrames.Frame(FrameType.Settings, 0, 0, [0, 4, 0, (byte)(bytes >> 16), (byte)(bytes >> 8), (byte)bytes]);

        static byte[] Update(int stream) => WireFrames.Number(FrameType.WindowUpdate, stream, Difference);
    }

    // A real client sends as much as it may, and the rest when it is asked.
    [Fact]
    public async Task A_client_s_bodies_arrive_whole_whether_they_are_sent_unasked_or_not()
    {
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{server.Host.Port}");
        var client = new Contracts.Ranking.RankingClient(channel);
        var request = sample.Request(candidates: 10_000, seed: 1);
        Assert.True(request.CalculateSize() > 100_000);
        var expected = await RankAsync();
        for (var round = 0; round < 10; round++)
        {
            await Gate.EnterAsync();
            await Assert.ThrowsAsync<RpcException>(() => Task.WhenAll(Enumerable.Range(0, 8).Select(_ => RankAsync())));
            Gate.Leave(null);
            Assert.Equal(expected.Targets, (await RankAsync()).Targets);
        }

        // A body that nobody asks for would wait for ever.
        Task<Contracts.RankReply> RankAsync() => client.RankAsync(request, deadline: DateTime.UtcNow.AddSeconds(30)).ResponseAsync;
    }

    // Everybody is refused from when what was sent before is judged.
    private async Task FillAsync(WireClient client)
    {
        await PingAsync(client);
        await Gate.EnterAsync();
    }

    // Kestrel has seen all that was sent.
    private static async Task PingAsync(WireClient client)
    {
        await client.SendAsync(WireFrames.Frame(FrameType.Ping, 0, 0, new byte[8]));
        await client.ReadAsync(f => f.Header.Type == FrameType.Ping);
    }

    private static bool IsUpdate(WireFrame frame, int stream) => frame.Header.Type == FrameType.WindowUpdate && frame.Header.Stream == stream;

    private static bool IsNarrow(WireFrame frame) =>
        frame.Header.Type == FrameType.Settings && frame.Payload.AsSpan().SequenceEqual(new byte[] { 0, 4, 0, 0, RequestWindow.Narrow >> 8, RequestWindow.Narrow & 0xff });
}
