using System.Buffers;
using System.IO.Pipelines;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using KdServing.Serving.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace KdServing.Serving.Tests.Connections;

public sealed class ConnectionOutputTests
{
    private static readonly byte[] Ours = WireFrames.Number(FrameType.WindowUpdate, 0, 7);

    private readonly Pipe pipe = new(new(pauseWriterThreshold: 0, useSynchronizationContext: false));
    private readonly OpenBodies bodies = new();
    private readonly OpenCalls openCalls = new(Options.Create(new HostOptions()));
    private readonly AdmissionGate gate = new(concurrency: 1, maxQueueMs: 1);
    private readonly ManualTime time = new();
    private readonly GatheredSends gathered;
    private readonly ConnectionOutput output;

    public ConnectionOutputTests()
    {
        gathered = new(gate, time);
        output = new(pipe.Writer, openCalls, gathered, bodies);
    }

    // A client ends a connection whose first frame is not SETTINGS, and may send calls before it has seen any.
    [Fact]
    public async Task Kestrel_has_the_first_word()
    {
        await output.SendAsync(Ours);
        output.Send(1, Reply(10).Finish());
        Assert.False(pipe.Reader.TryRead(out _));
        await KestrelAsync(WireFrames.Settings);
        Assert.Equal(["Settings 0", "WindowUpdate 0", "Headers 1", "Data 1 56", "Headers 1"], await ReadAsync());
    }

    [Fact]
    public async Task Frames_of_ours_are_never_within_one_of_Kestrels()
    {
        await KestrelAsync(WireFrames.Settings);
        var theirs = WireFrames.Data(1, new byte[100]);
        output.Write(theirs.AsSpan(0, 30));
        await output.SendAsync(Ours);
        output.Write(theirs.AsSpan(30));
        await output.SendAsync(Ours);
        await output.FlushAsync();
        Assert.Equal(["Settings 0", "WindowUpdate 0", "WindowUpdate 0", "Data 1 100"], await ReadAsync());
    }

    [Fact]
    public async Task A_long_reply_goes_out_in_frames_that_every_client_takes()
    {
        await KestrelAsync(WireFrames.Settings);
        output.Send(3, Reply(10_000).Finish());
        Assert.Equal(["Settings 0", "Headers 3", "Data 3 16384", "Data 3 16384", "Data 3 7252", "Headers 3"], await ReadAsync());
    }

    [Fact]
    public async Task Bodies_wait_for_the_window_that_both_draw_on()
    {
        await KestrelAsync(WireFrames.Settings);
        for (var i = 0; i < 3; i++)
            await KestrelAsync(WireFrames.Data(1, new byte[16_384], ends: false));
        output.Send(3, Reply(4000).Finish());
        // 65,535 bytes were to be had, 65,170 of them are used.
        await KestrelAsync(WireFrames.Headers(1, []), WireFrames.Data(1, new byte[1000]));
        await output.SendAsync(Ours);
        output.Send(5, Reply(10).Finish());
        Assert.Equal(["Settings 0", "Data 1 16384", "Data 1 16384", "Data 1 16384", "Headers 3", "Data 3 16018", "Headers 3", "Headers 1", "WindowUpdate 0"], await ReadAsync());

        output.AddCredit(600);
        Assert.False(pipe.Reader.TryRead(out _));
        output.AddCredit(40);
        Assert.Equal(["Data 1 1000", "Headers 5"], await ReadAsync());
        Assert.Equal(1, openCalls.Count);
        output.AddCredit(58);
        Assert.Equal(["Data 5 56", "Headers 5"], await ReadAsync());
        Assert.Equal(0, openCalls.Count);
    }

    // A stop waits for the client, but for none that is gone.
    [Fact]
    public async Task What_waits_is_given_up_with_the_connection()
    {
        await KestrelAsync(WireFrames.Settings);
        for (var i = 0; i < 5; i++)
            output.Send(1, Reply(5000).Finish());
        Assert.Equal(1, openCalls.Count);
        output.Complete();
        Assert.Equal(0, openCalls.Count);
    }

    // The connection may be disposed of as soon as Kestrel has let go of it, while another thread still waits for the client to read.
    [Fact]
    public async Task A_connection_that_is_let_go_while_another_sends_is_nobodys_error()
    {
        var (slow, output) = await SlowAsync(pauseAt: 200);
        output.Send(1, Reply(100).Finish());
        output.Send(3, Reply(1).Finish());
        var sending = output.SendAsync(Ours).AsTask();
        output.Complete();
        await slow.Writer.CompleteAsync();
        slow.Reader.AdvanceTo((await slow.Reader.ReadAsync()).Buffer.End);
        await sending;
        Assert.Equal(0, openCalls.Count);
    }

    // What it thinks it may send is never more than a client has ever had room for, and it is told of all that it has sent itself.
    [Fact]
    public async Task Kestrel_is_told_what_it_lacks()
    {
        await KestrelAsync(WireFrames.Settings);
        output.Send(1, Reply(1000).Finish());
        Assert.Equal(0, output.AddCredit(4000));
        await KestrelAsync(WireFrames.Data(3, new byte[300]));
        Assert.Equal(300, output.AddCredit(310));
        // The client opens its window wide.
        Assert.InRange(output.AddCredit(1_000_000), 999_000, 1_000_000);
        output.Send(1, Reply(1000).Finish());
        Assert.Equal(0, output.AddCredit(4000));
    }

    [Fact]
    public async Task A_client_that_does_not_read_holds_Kestrel_and_refusals_up()
    {
        var (slow, output) = await SlowAsync(pauseAt: 200);
        output.Send(1, Reply(100).Finish());
        var sending = output.SendAsync(Ours).AsTask();
        output.Write(WireFrames.Data(3, [1]));
        var flushing = output.FlushAsync().AsTask();
        Assert.False(sending.IsCompleted || flushing.IsCompleted);
        var frames = new List<string>();
        while (frames.Count < 6)
            frames.AddRange(await ReadAsync(slow.Reader));
        await Task.WhenAll(sending, flushing);
        Assert.Equal(["Settings 0", "Headers 1", "Data 1 418", "Headers 1", "WindowUpdate 0", "Data 3 1"], frames);
    }

    [Fact]
    public async Task What_is_sent_after_the_end_is_dropped()
    {
        await KestrelAsync(WireFrames.Settings);
        output.Complete();
        await output.SendAsync(Ours);
        output.Send(1, Reply(1).Finish());
        output.Complete();
        Assert.Equal(["Settings 0"], await ReadAsync());
        Assert.True((await pipe.Reader.ReadAsync()) is { IsCompleted: true, Buffer.IsEmpty: true });
    }

    // The end comes while another thread waits for the client to read.
    [Fact]
    public async Task What_was_written_before_the_end_still_goes_out()
    {
        var (slow, output) = await SlowAsync(pauseAt: 200);
        output.Send(1, Reply(100).Finish());
        output.Send(3, Reply(1).Finish());
        output.Write(WireFrames.Frame(FrameType.GoAway, 0, 0, new byte[8]));
        output.Complete();
        var frames = new List<string>();
        while (frames.Count < 8)
            frames.AddRange(await ReadAsync(slow.Reader));
        Assert.Equal("GoAway 0", frames[^1]);
        Assert.True((await slow.Reader.ReadAsync()).IsCompleted);
    }

    [Fact]
    public async Task While_many_wait_in_line_all_goes_out_together()
    {
        await KestrelAsync(WireFrames.Settings);
        Assert.Equal(["Settings 0"], await ReadAsync());
        Crowd();
        output.Send(1, Reply(10).Finish());
        Assert.True(output.SendAsync(Ours).IsCompletedSuccessfully);
        output.Send(3, Reply(10).Finish());
        Assert.False(pipe.Reader.TryRead(out _));
        gathered.SendDue(isCrowded: false);
        Assert.Equal(["Headers 1", "Data 1 56", "Headers 1", "WindowUpdate 0", "Headers 3", "Data 3 56", "Headers 3"], await ReadAsync());
        // It is held again, once.
        output.Send(5, Reply(10).Finish());
        Assert.False(pipe.Reader.TryRead(out _));
        time.Advance(GatheredSends.TimerInterval);
        Assert.Equal(["Headers 5", "Data 5 56", "Headers 5"], await ReadAsync());
    }

    [Fact]
    public async Task What_is_held_goes_out_with_what_Kestrel_sends()
    {
        await KestrelAsync(WireFrames.Settings);
        Crowd();
        await output.SendAsync(Ours);
        await KestrelAsync(WireFrames.Headers(1, []));
        Assert.Equal(["Settings 0", "WindowUpdate 0", "Headers 1"], await ReadAsync());
        gathered.SendDue(isCrowded: false);
        Assert.False(pipe.Reader.TryRead(out _));
    }

    [Fact]
    public async Task What_is_held_still_goes_out_at_the_end()
    {
        await KestrelAsync(WireFrames.Settings);
        Crowd();
        output.Send(1, Reply(10).Finish());
        output.Complete();
        gathered.SendDue(isCrowded: false);
        Assert.Equal(["Settings 0", "Headers 1", "Data 1 56", "Headers 1"], await ReadAsync());
    }

    [Fact]
    public async Task What_Kestrel_resets_it_is_not_sent_any_more()
    {
        bodies.Begin(1);
        bodies.Begin(3);
        await KestrelAsync(WireFrames.Settings);
        await KestrelAsync([.. WireFrames.Headers(1, [0x88], ends: true), .. WireFrames.Number(FrameType.ResetStream, 1, 0)]);
        Assert.Equal((false, true), (bodies.Has(1), bodies.Has(3)));
    }

    // Whoever sends for others has done nothing wrong.
    [Fact]
    public async Task A_held_connection_that_fails_is_its_readers_matter()
    {
        var output = new ConnectionOutput(new FailingWriter(), openCalls, gathered, new());
        output.Write(WireFrames.Settings);
        await Assert.ThrowsAsync<IOException>(() => output.FlushAsync().AsTask());
        Crowd();
        output.Send(1, Reply(10).Finish());
        gathered.SendDue(isCrowded: false);
    }

    // Two streams of Kestrel's, which writes under a lock of its own and waits for flushes outside of it, refusals, and replies; the client gives
    // credit for what it reads, and reads slowly.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Frames_stay_whole_and_within_the_window_whoever_writes(bool isCrowded)
    {
        const int Frames = 2000;
        if (isCrowded)
            Crowd();
        var (slow, output) = await SlowAsync(pauseAt: 4096);
        var kestrels = new Lock();
        var (data, credit) = (WireFrames.Data(1, new byte[500], ends: false), 0L);
        var writers = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < Frames; i++)
            {
                // Kestrel sends what it thinks that the client takes.
                while (Interlocked.Read(ref credit) < -40_000)
                    await Task.Yield();
                Interlocked.Add(ref credit, -500);
                ValueTask<FlushResult> flush;
                lock (kestrels)
                {
                    output.Write(data.AsSpan(0, 100));
                    output.Write(data.AsSpan(100));
                    flush = output.FlushAsync();
                }
                await flush;
            }
        })).Append(Task.Run(async () =>
        {
            for (var i = 0; i < Frames; i++)
                await output.SendAsync(Ours);
        })).Append(Task.Run(() =>
        {
            for (var i = 0; i < Frames; i++)
                output.Send(3, Reply(100).Finish());
        })).ToList();
        var written = Task.WhenAll(writers);
        var scorer = Task.Run(async () =>
        {
            while (!written.IsCompleted)
            {
                gathered.SendDue(isCrowded: false);
                await Task.Yield();
            }
            gathered.SendDue(isCrowded: false);
        });
        var (counts, taken, window, rest) = (new Dictionary<string, int>(), 0, SharedWindow.Initial, Array.Empty<byte>());
        while (counts.Values.Sum() < 1 + Frames * 6)
        {
            var read = await slow.Reader.ReadAsync();
            rest = [.. rest, .. read.Buffer.ToArray()];
            slow.Reader.AdvanceTo(read.Buffer.End);
            while (Http2Frame.First(rest) is { IsEmpty: false } bytes)
            {
                var frame = Http2Frame.Read(bytes);
                counts[$"{frame.Type} {frame.Stream}"] = counts.GetValueOrDefault($"{frame.Type} {frame.Stream}") + 1;
                rest = rest[bytes.Length..];
                if (frame.Type != FrameType.Data)
                    continue;
                taken += frame.Length;
                Assert.True((window -= frame.Length) >= 0, "more than the client takes");
            }
            if (taken > SharedWindow.Initial / 2 || (taken > 0 && window < 1000))
            {
                window += taken;
                Interlocked.Add(ref credit, output.AddCredit(taken));
                taken = 0;
            }
        }
        await Task.WhenAll(written, scorer);
        Assert.Equal((2 * Frames, Frames, Frames, 2 * Frames), (counts["Data 1"], counts["WindowUpdate 0"], counts["Data 3"], counts["Headers 3"]));
        Assert.Equal(0, openCalls.Count);
    }

    // Of 16 to 20 bytes beside the scores: the prefix, the target's name and the lengths, and nothing of the header.
    private static RankedReply Reply(int candidates)
    {
        var reply = RankedReply.Rent();
        reply.AddTarget("click", new float[candidates], default, 1, candidates, default);
        return reply;
    }

    // To a client that does not read, and takes so many bytes before whoever sends waits; Kestrel has had the first word.
    private async Task<(Pipe Pipe, ConnectionOutput Output)> SlowAsync(int pauseAt)
    {
        var slow = new Pipe(new(pauseWriterThreshold: pauseAt, resumeWriterThreshold: pauseAt / 2, useSynchronizationContext: false));
        var output = new ConnectionOutput(slow.Writer, openCalls, gathered, new());
        output.Write(WireFrames.Settings);
        await output.FlushAsync();
        return (slow, output);
    }

    // One is served, one waits, as long as anybody may.
    private void Crowd()
    {
        _ = gate.EnterAsync();
        _ = gate.EnterAsync();
        Assert.True(gate.Line.IsCrowded);
    }

    private async Task KestrelAsync(params byte[][] frames)
    {
        foreach (var frame in frames)
            output.Write(frame);
        await output.FlushAsync();
    }

    private Task<List<string>> ReadAsync() => ReadAsync(pipe.Reader);

    private static async Task<List<string>> ReadAsync(PipeReader reader)
    {
        var read = await reader.ReadAsync();
        var (rest, frames) = (read.Buffer.ToArray(), new List<string>());
        while (Http2Frame.First(rest) is { IsEmpty: false } frame)
        {
            var header = Http2Frame.Read(frame);
            frames.Add($"{header.Type} {header.Stream}{(header.Type == FrameType.Data ? $" {header.Length}" : "")}");
            rest = rest[frame.Length..];
        }
        reader.AdvanceTo(read.Buffer.GetPosition(read.Buffer.Length - rest.Length), read.Buffer.End);
        return frames;
    }

    /// <summary>Of a connection that is broken.</summary>
    private sealed class FailingWriter : PipeWriter
    {
        private readonly ArrayBufferWriter<byte> written = new();

        public override void Advance(int bytes) => written.Advance(bytes);

        public override Memory<byte> GetMemory(int sizeHint = 0) => written.GetMemory(sizeHint);

        public override Span<byte> GetSpan(int sizeHint = 0) => written.GetSpan(sizeHint);

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => throw new IOException("broken");

        public override void CancelPendingFlush()
        {
        }

        public override void Complete(Exception? exception = null)
        {
        }
    }
}
