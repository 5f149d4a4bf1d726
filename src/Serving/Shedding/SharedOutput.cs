using System.Buffers;
using System.IO.Pipelines;

namespace KdServing.Serving.Shedding;

/// <summary>A connection's output, which Kestrel writes to as before and which takes whole frames of ours between Kestrel's.</summary>
/// <remarks>
/// What Kestrel has written ends with a frame whenever it flushes, and at no other time for certain. So our frames go out at once while
/// Kestrel has flushed all it wrote, and else with its next flush, which follows whatever it writes.
/// </remarks>
internal sealed class SharedOutput(PipeWriter output) : PipeWriter
{
    private readonly Lock gate = new();
    private readonly ArrayBufferWriter<byte> waiting = new();
    // A server's first frame is its SETTINGS (RFC 9113, section 3.4): until Kestrel has sent them, nothing goes out.
    private bool isKestrelWriting = true;
    private bool isCompleted;
    private Task flushing = Task.CompletedTask;

    /// <summary>Sends frames. One call at a time.</summary>
    /// <returns>Completes late when the client does not read what it is sent.</returns>
    public ValueTask SendAsync(ReadOnlySpan<byte> frames)
    {
        lock (gate)
        {
            if (isCompleted)
                return default;
            waiting.Write(frames);
            if (isKestrelWriting)
                return default;
            if (!flushing.IsCompleted)
                return SendAfterAsync(flushing);
            WriteWaiting();
            var flush = output.FlushAsync();
            return flush.IsCompletedSuccessfully ? default : new(flushing = flush.AsTask());
        }
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        lock (gate)
        {
            isKestrelWriting = false;
            return Flush(cancellationToken);
        }
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        BeginWriting();
        return output.GetMemory(sizeHint);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        BeginWriting();
        return output.GetSpan(sizeHint);
    }

    public override void Advance(int bytes) => output.Advance(bytes);

    public override void CancelPendingFlush() => output.CancelPendingFlush();

    public override bool CanGetUnflushedBytes => output.CanGetUnflushedBytes;

    public override long UnflushedBytes => output.UnflushedBytes;

    public override void Complete(Exception? exception = null)
    {
        lock (gate)
            isCompleted = true;
        output.Complete(exception);
    }

    private void BeginWriting()
    {
        // It becomes false in Kestrel's own call alone.
        if (isKestrelWriting)
            return;
        lock (gate)
            isKestrelWriting = true;
    }

    private void WriteWaiting()
    {
        if (waiting.WrittenCount == 0)
            return;
        output.Write(waiting.WrittenSpan);
        waiting.ResetWrittenCount();
    }

    private async ValueTask SendAfterAsync(Task earlier)
    {
        await earlier.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await SendAsync([]);
    }

    // Under the lock, and at a frame's end.
    private ValueTask<FlushResult> Flush(CancellationToken cancellationToken)
    {
        if (!flushing.IsCompleted)
            return FlushAfterAsync(flushing, cancellationToken);
        if (!isCompleted)
            WriteWaiting();
        var flush = output.FlushAsync(cancellationToken);
        if (flush.IsCompletedSuccessfully)
            return flush;
        var task = flush.AsTask();
        flushing = task;
        return new(task);
    }

    private async ValueTask<FlushResult> FlushAfterAsync(Task earlier, CancellationToken cancellationToken)
    {
        await earlier.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ValueTask<FlushResult> flush;
        lock (gate)
        {
            // Kestrel writes again meanwhile: its next flush takes this one's bytes too.
            flush = isKestrelWriting ? new(new FlushResult(isCanceled: false, isCompleted)) : Flush(cancellationToken);
        }
        return await flush;
    }
}
