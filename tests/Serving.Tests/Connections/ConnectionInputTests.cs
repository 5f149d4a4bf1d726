using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using Google.Protobuf;
using Grpc.Core;
using KdServing.Serving.Connections;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace KdServing.Serving.Tests.Connections;

public sealed class ConnectionInputTests : IDisposable
{
    private readonly RankingMetrics metrics = new();
    private readonly RankingThreads threads = new(count: 1);
    private readonly OpenCalls openCalls = new(Options.Create(new HostOptions()));
    private readonly OpenBodies bodies = new();
    private readonly AdmissionGate gate = new(concurrency: 1, maxQueueMs: 0.5);
    private readonly AdmissionGate roomy = new(concurrency: 1, maxQueueMs: 1e9);

    public void Dispose()
    {
        threads.Dispose();
        metrics.Dispose();
    }

    // However the bytes arrive and however much of them the reader takes at a time, it sees all but what is refused, in order.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task What_is_refused_is_cut_out_wherever_the_bytes_are_split(int seed)
    {
        var random = new Random(seed);
        var (sent, expected, refused) = (new List<byte>(WireFrames.Preface), new List<byte>(WireFrames.Preface), 0);
        for (var stream = 1; stream < 200; stream += 2)
        {
            var isRefused = random.Next(2) == 0;
            var body = new byte[random.Next(300)];
            byte[] frames = [.. WireFrames.Headers(stream, WireFrames.Plain(isRefused ? WireFrames.RankPath : "/other")), .. WireFrames.Data(stream, body, ends: false),
                .. WireFrames.Data(stream, body)];
            sent.AddRange(frames);
            if (isRefused)
                refused++;
            else
                expected.AddRange(frames);
            if (random.Next(5) == 0)
            {
                sent.AddRange(WireFrames.SettingsAck);
                expected.AddRange(WireFrames.SettingsAck);
            }
        }
        // One that ends within a frame's header is for Kestrel to judge.
        sent.AddRange([0, 0, 1]);
        expected.AddRange([0, 0, 1]);

        await gate.EnterAsync();
        var (incoming, outgoing) = (Unpaused(), Unpaused());
        var output = new ConnectionOutput(outgoing.Writer, openCalls, new(roomy), bodies);
        await output.FlushAsync();
        var input = Input(incoming, output, new EchoEndpoint(), gate);
        var reading = ReadAllAsync(input, new(seed));
        await SendAsync(incoming.Writer, sent, random);
        Assert.Equal(expected, await reading);
        Assert.Equal(refused, metrics.Requests);
        output.Complete();
        Assert.Equal(refused, await RefusalsAsync(outgoing.Reader));
    }

    // Ranking calls are taken and their frames cut out, in turns with others' or not; what is no message is told; the rest is Kestrel's.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Ranking_calls_are_taken_wherever_the_bytes_are_split(int seed)
    {
        var random = new Random(seed);
        var (sent, expected, taken, failed) = (new List<byte>(WireFrames.Preface), new List<byte>(WireFrames.Preface), new List<string>(), 0);
        var begun = new Queue<byte[]>();
        for (var stream = 1; stream < 600; stream += 2)
        {
            if (random.Next(3) == 0)
            {
                byte[] other = random.Next(2) == 0 ? WireFrames.SettingsAck
                    : [.. WireFrames.Headers(stream, WireFrames.Plain("/other")), .. WireFrames.Data(stream, new byte[random.Next(100)]), .. WireFrames.Number(FrameType.WindowUpdate, stream, 5)];
                sent.AddRange(other);
                expected.AddRange(other);
                continue;
            }
            var id = $"request {stream} {new string('x', random.Next(300))}";
            var message = WireFrames.Message(new Contracts.RankRequest { RequestId = id, CandidateCount = 3 }.ToByteArray());
            var cut = random.Next(message.Length);
            sent.AddRange(WireFrames.Headers(stream, WireFrames.Plain()));
            sent.AddRange(WireFrames.Data(stream, message.AsSpan(0, cut), ends: false));
            if (random.Next(4) == 0)
            {
                // Cut short, or given up.
                sent.AddRange(random.Next(2) == 0 ? WireFrames.Data(stream, message.AsSpan(cut, (message.Length - cut) / 2)) : WireFrames.Number(FrameType.ResetStream, stream, 8));
                failed++;
                continue;
            }
            taken.Add(id);
            begun.Enqueue([.. WireFrames.Number(FrameType.WindowUpdate, stream, 5), .. Padded(stream, message.AsSpan(cut), random.Next(20)), .. WireFrames.Data(stream, [])]);
            while (begun.Count > 0 && random.Next(3) > 0)
                sent.AddRange(begun.Dequeue());
        }
        sent.AddRange(begun.SelectMany(b => b));
        // The end comes within a call.
        sent.AddRange([.. WireFrames.Headers(601, WireFrames.Plain()), .. WireFrames.Data(601, new byte[10], ends: false)]);

        var (incoming, endpoint) = (Unpaused(), new EchoEndpoint());
        var output = new ConnectionOutput(Unpaused().Writer, openCalls, new(roomy), bodies);
        var input = Input(incoming, output, endpoint, roomy);
        var reading = ReadAllAsync(input, new(seed));
        await SendAsync(incoming.Writer, sent, random);
        Assert.Equal(expected, await reading);
        input.Complete();
        await Eventually.HoldsAsync(() => endpoint.Seen.Count == taken.Count, "all that was taken is answered");
        Assert.Equal(taken.Order(), endpoint.Seen.Order());
        Assert.Equal(taken.Count + failed + 1, metrics.TakenCalls);
        output.Complete();
        await Eventually.HoldsAsync(() => openCalls.Count == 0, "nothing is on its way any more");
    }

    [Fact]
    public async Task Kestrel_sees_a_call_now_and_then()
    {
        var (time, incoming, endpoint) = (new ManualTime(), Unpaused(), new EchoEndpoint());
        var input = Input(incoming, new(Unpaused().Writer, openCalls, new(roomy), bodies), endpoint, roomy, time);
        await incoming.Writer.WriteAsync(WireFrames.Preface);
        await PassesAsync(WireFrames.Preface.Length);
        var stream = 1;
        await incoming.Writer.WriteAsync(Call());
        time.Advance(TimeSpan.FromSeconds(31));
        // Read only now: the first by its time.
        await PassesAsync(Call().Length);
        stream = 3;
        await incoming.Writer.WriteAsync(Call());
        time.Advance(TimeSpan.FromSeconds(29));
        byte[] other = WireFrames.SettingsAck;
        await incoming.Writer.WriteAsync(other);
        await PassesAsync(other.Length);
        await Eventually.HoldsAsync(() => endpoint.Seen.Count == 1, "the second was taken");

        byte[] Call() => [.. WireFrames.Headers(stream, WireFrames.Plain()), .. WireFrames.Data(stream, WireFrames.Message(new Contracts.RankRequest { RequestId = "r" }.ToByteArray()))];

        async Task PassesAsync(int bytes)
        {
            var read = await input.ReadAsync();
            Assert.Equal(bytes, read.Buffer.Length);
            input.AdvanceTo(read.Buffer.End);
        }
    }

    private static byte[] Padded(int stream, ReadOnlySpan<byte> payload, int padding) =>
        WireFrames.Frame(FrameType.Data, Http2Frame.Padded, stream, [(byte)padding, .. payload, .. new byte[padding]]);

    private ConnectionInput Input(Pipe incoming, ConnectionOutput output, RankingEndpoint endpoint, AdmissionGate gate, TimeProvider? time = null)
    {
        var refusals = new Refusals(gate, metrics);
        var calls = new TakenCalls(endpoint, refusals, openCalls, output, metrics, threads);
        return new(incoming.Reader, new(refusals, calls, output, bodies, time), output);
    }

    private static Pipe Unpaused() => new(new(pauseWriterThreshold: 0, minimumSegmentSize: 64, useSynchronizationContext: false));

    private static async Task SendAsync(PipeWriter incoming, List<byte> sent, Random random)
    {
        for (var at = 0; at < sent.Count;)
        {
            var count = Math.Min(sent.Count - at, random.Next(1, 1 << random.Next(1, 10)));
            await incoming.WriteAsync(sent.Slice(at, count).ToArray());
            at += count;
        }
        await incoming.CompleteAsync();
    }

    // Takes sometimes all it is given, sometimes a part, sometimes nothing until there is more.
    private static async Task<List<byte>> ReadAllAsync(ConnectionInput input, Random random)
    {
        var all = new List<byte>();
        while (true)
        {
            var read = await input.ReadAsync();
            var take = read.IsCompleted || random.Next(3) > 0 ? read.Buffer.Length : random.NextInt64(read.Buffer.Length + 1);
            all.AddRange(read.Buffer.Slice(0, take).ToArray());
            var consumed = read.Buffer.GetPosition(take);
            if (take == 0 && !read.IsCompleted)
                input.AdvanceTo(consumed, consumed);
            else
                input.AdvanceTo(consumed);
            if (read.IsCompleted)
                return all;
        }
    }

    private static async Task<int> RefusalsAsync(PipeReader reader)
    {
        var read = await reader.ReadAtLeastAsync(int.MaxValue);
        var (bytes, count) = (read.Buffer.ToArray(), 0);
        for (var at = 0; at < bytes.Length;)
        {
            var frame = Http2Frame.Read(bytes.AsSpan(at));
            count += frame.Type == FrameType.Headers && frame.Has(Http2Frame.EndStream) && frame.Stream % 2 == 1 ? 1 : 0;
            at += Http2Frame.HeaderBytes + frame.Length;
        }
        return count;
    }

    private sealed class EchoEndpoint : RankingEndpoint
    {
        public ConcurrentBag<string> Seen { get; } = [];

        public override Task<RankedReply> RankAsync(RankCall request, CallBudget budget)
        {
            Assert.False(request.IsMalformed);
            Seen.Add(request.Header.RequestId);
            request.Return();
            return Task.FromResult(RankedReply.Rent());
        }

        public override Task RankStream(IAsyncStreamReader<RankCall> requestStream, IServerStreamWriter<RankedReply> responseStream, ServerCallContext context) =>
            throw new NotSupportedException();
    }
}
