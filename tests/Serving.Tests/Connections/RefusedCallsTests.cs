using System.Diagnostics;
using System.Net.Sockets;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Connections;

/// <summary>Calls refused where their bytes arrive, by a whole server: what the rest of the connection sees of it is nothing.</summary>
public sealed class RefusedCallsTests : IAsyncLifetime
{
    private const string Refused = "grpc-status\u00018"; // name, length of the value, value
    private const string Answered = "grpc-status\u00010";

    private readonly SampleStudent sample = new("mlp");
    private RunningServer server = null!;

    private AdmissionGate Gate => server.Host.Services.GetRequiredService<AdmissionGate>();

    private byte[] Request => WireFrames.Message(sample.Request(candidates: 5, seed: 1).ToByteArray());

    public async Task InitializeAsync() => server = await RunningServer.StartAsync(sample, new() { Concurrency = 1, MaxQueueMs = 0.5 });

    public async Task DisposeAsync()
    {
        await server.DisposeAsync();
        sample.Dispose();
    }

    [Fact]
    public async Task Whatever_comes_of_a_refused_call_leaves_the_connection_whole()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        // Of a stream that Kestrel has never seen these would end the connection.
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Number(FrameType.WindowUpdate, 1, 1000), WireFrames.Data(1, Request),
            WireFrames.Number(FrameType.ResetStream, 1, 8), WireFrames.Number(FrameType.WindowUpdate, 1, 1000));
        Assert.True(IsOurs(await client.ReadEndAsync(1)));
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain()), WireFrames.Number(FrameType.ResetStream, 3, 8));
        Assert.True(IsOurs(await client.ReadEndAsync(3)));
        // Trailers that name no table may follow a body.
        await client.SendAsync(WireFrames.Headers(5, WireFrames.Plain()), WireFrames.Data(5, Request, ends: false), WireFrames.Headers(5, [0x00, 1, (byte)'x', 1, (byte)'y'], ends: true));
        Assert.True(IsOurs(await client.ReadEndAsync(5)));
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.SendAsync(WireFrames.Headers(7, WireFrames.Plain()), WireFrames.Data(7, Request));
        Assert.True((await client.ReadEndAsync(7)).Holds(Answered));
        // Older than one Kestrel has seen.
        await client.SendAsync(WireFrames.Number(FrameType.ResetStream, 5, 8), WireFrames.Number(FrameType.WindowUpdate, 5, 1000));
        await client.SendAsync(WireFrames.Headers(9, WireFrames.Compressed(HeaderBlock.CompressedRankPath)), WireFrames.Data(9, Request));
        // Kestrel's decoder reads the compressed path as we do.
        Assert.True((await client.ReadEndAsync(9)).Holds(Answered) || client.Seen.Any(f => f.Header is { Type: FrameType.Data, Stream: 9 }));
    }

    [Fact]
    public async Task Other_calls_are_answered_however_full_it_is()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain("/grpc.health.v1.Health/Check")), WireFrames.Data(1, WireFrames.Message([])));
        Assert.True((await client.ReadEndAsync(1)).Holds(Answered));
        Gate.Leave(Stopwatch.GetTimestamp());
    }

    [Fact]
    public async Task A_client_that_keeps_a_header_table_is_asked_to_do_without()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Indexed()), WireFrames.Data(1, Request));
        // Refused all the same, but by Kestrel, which must see what is added to the table.
        var first = await client.ReadEndAsync(1);
        Assert.True(first.Holds(Refused) && !IsOurs(first));
        byte[] emptyTable = [0, 1, 0, 0, 0, 0];
        Assert.Single(client.Seen, f => f.Header.Type == FrameType.Settings && f.Payload.AsSpan().SequenceEqual(emptyTable));
        // The table's newest entry is the path: still Kestrel's.
        byte[] again = [0x83, 0x86, 0xbe, .. WireFrames.Plain("/").AsSpan(5)];
        await client.SendAsync(WireFrames.SettingsAck, WireFrames.Headers(3, again), WireFrames.Data(3, Request));
        Assert.False(IsOurs(await client.ReadEndAsync(3)));
        // From here on nothing is kept, and there is room when it is said.
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.SendAsync(WireFrames.Headers(5, [0x20, .. WireFrames.Indexed()]), WireFrames.Data(5, Request));
        await client.ReadEndAsync(5);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Headers(7, WireFrames.Indexed()), WireFrames.Data(7, Request));
        Assert.True(IsOurs(await client.ReadEndAsync(7)));
        Gate.Leave(Stopwatch.GetTimestamp());
        await client.SendAsync(WireFrames.Headers(9, WireFrames.Indexed()), WireFrames.Data(9, Request));
        await client.ReadEndAsync(9);
        Assert.Contains(client.Seen, f => f.Header is { Type: FrameType.Data, Stream: 9 });
        Assert.Single(client.Seen, f => f.Header.Type == FrameType.Settings && f.Payload.AsSpan().SequenceEqual(emptyTable));
    }

    [Fact]
    public async Task The_client_is_asked_to_keep_the_rest_of_a_refused_body_and_what_comes_is_taken()
    {
        const int Bytes = 16 * 1024, Frames = 64;
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()));
        Assert.True(IsOurs(await client.ReadEndAsync(1)));
        Assert.Equal(0, (await client.ReadAsync(f => f.Header is { Type: FrameType.ResetStream, Stream: 1 })).Number);
        for (var i = 0; i < Frames; i++)
            await client.SendAsync(WireFrames.Data(1, new byte[Bytes], ends: i == Frames - 1));
        await client.SendAsync(WireFrames.Headers(3, WireFrames.Plain(), ends: true));
        await client.ReadEndAsync(3);
        int Given(int stream) => client.Seen.Where(f => f.Header.Type == FrameType.WindowUpdate && f.Header.Stream == stream).Sum(f => f.Number);
        Assert.Equal(0, Given(1));
        Assert.DoesNotContain(client.Seen, f => f.Header is { Type: FrameType.ResetStream, Stream: 3 });
        // Kestrel's own, at the start, is for 8 MiB.
        Assert.Equal(8 * 1024 * 1024 - 65_535 + Bytes * Frames, Given(0));
        Gate.Leave(Stopwatch.GetTimestamp());
    }

    // Dropped as trailers it would never be answered.
    [Fact]
    public async Task A_call_with_the_number_of_an_older_one_ends_the_connection()
    {
        using var client = await WireClient.ConnectAsync(server.Host.Port);
        await Gate.EnterAsync();
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Data(1, Request));
        await client.ReadEndAsync(1);
        await client.SendAsync(WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Data(1, Request));
        await Assert.ThrowsAnyAsync<IOException>(() => client.ReadAsync(_ => false));
        Gate.Leave(null);
    }

    // A client may send its first call before it has read a byte: what it reads first must be Kestrel's settings all the same.
    [Fact]
    public async Task A_connection_may_begin_with_a_refusal()
    {
        await Gate.EnterAsync();
        for (var i = 0; i < 200; i++)
        {
            using var client = WireClient.Connect(server.Host.Port);
            await client.SendAsync(WireFrames.Preface, WireFrames.Settings, WireFrames.Headers(1, WireFrames.Plain()), WireFrames.Data(1, Request));
            await client.ReadEndAsync(1);
            Assert.Equal(FrameType.Settings, client.Seen[0].Header.Type);
        }
        Gate.Leave(Stopwatch.GetTimestamp());
    }

    // A real client's connection sees refusals beside answers, and stays.
    [Fact]
    public async Task Refusals_and_answers_share_a_connection()
    {
        const int Callers = 8;
        using var other = new SampleStudent("mlp");
        await using var strict = await RunningServer.StartAsync(other, new() { Concurrency = 1, MaxQueueMs = 1e-6 });
        var gate = strict.Host.Services.GetRequiredService<AdmissionGate>();
        var connections = 0;
        using var handler = new SocketsHttpHandler
        {
            ConnectCallback = async (context, stop) =>
            {
                Interlocked.Increment(ref connections);
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await socket.ConnectAsync(context.DnsEndPoint, stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{strict.Host.Port}", new() { HttpHandler = handler });
        var client = new Contracts.Ranking.RankingClient(channel);
        var request = other.Request(candidates: 200, seed: 1);
        for (var round = 0; round < 10; round++)
        {
            await gate.EnterAsync();
            Assert.Equal(0, (await CallAsync()).Sum());
            gate.Leave(null);
            // Whoever comes while another is scored is refused; somebody is scored.
            Assert.True((await CallAsync()).Sum() > 0);
        }
        Assert.Equal(1, connections);
        await Eventually.HoldsAsync(() => (gate.Running, gate.Waiting) == (0, 0), "everybody has left");

        Task<int[]> CallAsync() => Task.WhenAll(Enumerable.Range(0, Callers).Select(_ => Task.Run(async () =>
        {
            var answered = 0;
            for (var i = 0; i < 10; i++)
            {
                try
                {
                    Assert.Equal(request.RequestId, (await client.RankAsync(request)).RequestId);
                    answered++;
                }
                catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
                {
                    Assert.NotNull(e.Trailers.GetValue("grpc-retry-pushback-ms"));
                }
            }
            return answered;
        })));
    }

    // Kestrel's headers have a date.
    private static bool IsOurs(WireFrame headers) => headers.Holds(Refused) && headers.Holds("grpc-retry-pushback-ms") && headers.Payload.Length < 140 && !headers.Holds("GMT");
}
