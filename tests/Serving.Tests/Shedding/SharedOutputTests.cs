using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using KdServing.Serving.Shedding;

namespace KdServing.Serving.Tests.Shedding;

public sealed class SharedOutputTests
{
    private readonly Pipe pipe = new(new(pauseWriterThreshold: 16, resumeWriterThreshold: 8, useSynchronizationContext: false));
    private readonly SharedOutput output;

    public SharedOutputTests() => output = new(pipe.Writer);

    // A client ends a connection whose first frame is not SETTINGS, and may send calls before it has seen any.
    [Fact]
    public async Task Kestrel_has_the_first_word()
    {
        await output.SendAsync("ours"u8);
        Assert.False(pipe.Reader.TryRead(out _));
        await KestrelBeginsAsync();
        Assert.Equal("ours", await ReadAsync());
    }

    [Fact]
    public async Task Frames_of_ours_go_out_at_once_while_Kestrel_is_at_a_frames_end()
    {
        await KestrelBeginsAsync();
        await output.SendAsync("ours"u8);
        Assert.Equal("ours", await ReadAsync());
        Write("theirs");
        await output.FlushAsync();
        await output.SendAsync("ours"u8);
        Assert.Equal("theirsours", await ReadAsync());
    }

    [Fact]
    public async Task They_wait_while_Kestrel_is_within_a_frame()
    {
        await KestrelBeginsAsync();
        Write("thei");
        await output.SendAsync("ours"u8);
        Assert.False(pipe.Reader.TryRead(out _));
        Write("rs");
        await output.FlushAsync();
        Assert.Equal("theirsours", await ReadAsync());
    }

    [Fact]
    public async Task A_client_that_does_not_read_holds_whoever_sends_up()
    {
        await KestrelBeginsAsync();
        var sending = output.SendAsync("sixteen bytes or"u8).AsTask();
        Assert.False(sending.IsCompleted);
        var second = output.SendAsync("ours"u8).AsTask();
        Write("theirs");
        var flushing = output.FlushAsync().AsTask();
        Assert.False(second.IsCompleted || flushing.IsCompleted);
        Assert.Equal("sixteen bytes or", await ReadAsync());
        await sending;
        // Whichever of the two goes first, each is whole.
        var text = "";
        while (text.Length < "theirsours".Length)
            text += await ReadAsync();
        Assert.Contains(text, new[] { "theirsours", "ourstheirs" });
        await Task.WhenAll(second, flushing);
    }

    [Fact]
    public async Task What_is_sent_after_the_end_is_dropped()
    {
        output.Complete();
        await output.SendAsync("ours"u8);
        Assert.True((await pipe.Reader.ReadAsync()) is { IsCompleted: true, Buffer.IsEmpty: true });
    }

    // Two streams of Kestrel's, which writes under a lock of its own and waits for flushes outside of it, and a connection's refusals; the
    // client reads so slowly that everybody waits for it all the time.
    [Fact]
    public async Task Frames_stay_whole_whoever_writes()
    {
        const int Frames = 3000;
        var kestrels = new Lock();
        var writers = Enumerable.Range(0, 2).Select(_ => Task.Run(async () =>
        {
            for (var i = 0; i < Frames; i++)
            {
                ValueTask<FlushResult> flush;
                lock (kestrels)
                {
                    Write("<the");
                    Write("irs>");
                    flush = output.FlushAsync();
                }
                await flush;
            }
        })).Append(Task.Run(async () =>
        {
            for (var i = 0; i < Frames; i++)
                await output.SendAsync("<ours>"u8);
        })).ToList();
        var done = Task.WhenAll(writers).ContinueWith(_ => output.Complete(), TaskScheduler.Default);
        var text = new StringBuilder();
        while (await ReadAsync() is { Length: > 0 } some)
            text.Append(some);
        await done;
        await Task.WhenAll(writers);
        var all = text.ToString();
        Assert.Equal(2 * Frames, all.Split("<theirs>").Length - 1);
        Assert.Equal(Frames, all.Split("<ours>").Length - 1);
        Assert.Equal(2 * Frames * "<theirs>".Length + Frames * "<ours>".Length, all.Length);
    }

    // Its SETTINGS, here of no bytes.
    private async Task KestrelBeginsAsync() => await output.FlushAsync();

    private void Write(string text) => output.Write(Encoding.ASCII.GetBytes(text));

    private async Task<string> ReadAsync()
    {
        var read = await pipe.Reader.ReadAsync();
        var text = Encoding.ASCII.GetString(read.Buffer);
        pipe.Reader.AdvanceTo(read.Buffer.End);
        return text;
    }
}
