using System.Buffers;
using System.IO.Pipelines;
using KdServing.Serving.Ranking;
using KdServing.Serving.Shedding;
using KdServing.Serving.Status;

namespace KdServing.Serving.Tests.Shedding;

public sealed class SheddingInputTests : IDisposable
{
    private readonly RankingMetrics metrics = new();
    private readonly AdmissionGate gate = new(concurrency: 1, maxQueueMs: 0.5);

    public void Dispose() => metrics.Dispose();

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
        var output = new SharedOutput(outgoing.Writer);
        await output.FlushAsync();
        var input = new SheddingInput(incoming.Reader, new(new(gate, metrics)), output);
        var reading = ReadAllAsync(input, new(seed));
        for (var at = 0; at < sent.Count;)
        {
            var count = Math.Min(sent.Count - at, random.Next(1, 1 << random.Next(1, 10)));
            await incoming.Writer.WriteAsync(sent.Slice(at, count).ToArray());
            at += count;
        }
        await incoming.Writer.CompleteAsync();
        Assert.Equal(expected, await reading);
        Assert.Equal(refused, metrics.Requests);
        output.Complete();
        Assert.Equal(refused, await RefusalsAsync(outgoing.Reader));
    }

    [Fact]
    public async Task While_there_is_room_nothing_is_cut_out()
    {
        byte[] sent = [.. WireFrames.Preface, .. WireFrames.Headers(1, WireFrames.Plain()), .. WireFrames.Data(1, new byte[10])];
        var incoming = Unpaused();
        await incoming.Writer.WriteAsync(sent);
        await incoming.Writer.CompleteAsync();
        Assert.Equal(sent, await ReadAllAsync(new SheddingInput(incoming.Reader, new(new(gate, metrics)), new(Unpaused().Writer)), new(1)));
        Assert.Equal(0, metrics.Requests);
    }

    private static Pipe Unpaused() => new(new(pauseWriterThreshold: 0, minimumSegmentSize: 64, useSynchronizationContext: false));

    // Takes sometimes all it is given, sometimes a part, sometimes nothing until there is more.
    private static async Task<List<byte>> ReadAllAsync(SheddingInput input, Random random)
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
}
