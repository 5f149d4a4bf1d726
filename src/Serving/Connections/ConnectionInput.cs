using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace KdServing.Serving.Connections;

/// <summary>A connection's input without the frames that are not Kestrel's (<see cref="FrameJudge"/>). What is Kestrel's is not copied: a read ends where another frame begins.</summary>
/// <remarks>For a reader that takes what it is given, as Kestrel does: one that waits for more behind a read's end, where a frame was dropped, would not get it.</remarks>
internal sealed class ConnectionInput(PipeReader input, FrameJudge judge, ConnectionOutput output) : PipeReader
{
    private const int PrefaceBytes = 24; // RFC 9113, section 3.4

    private ReadOnlySequence<byte> given;
    // Of what is not consumed, from its start: bytes that are Kestrel's, whether it was given them already or not.
    private long passed;
    // Of the frame that was judged last, and of the preface before the first.
    private long frameLeft = PrefaceBytes;
    private bool isFrameDropped;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            var read = await input.ReadAsync(cancellationToken);
            var dropped = Judge(read.Buffer, read.IsCompleted);
            if (!judge.Answers.IsEmpty)
                await output.SendAsync(judge.Answers.Take());
            given = read.Buffer.Slice(dropped, passed);
            var isAll = dropped + passed == read.Buffer.Length;
            if (passed > 0 || read.IsCanceled || (read.IsCompleted && isAll))
                return new(given, read.IsCanceled, read.IsCompleted && isAll);
            input.AdvanceTo(given.Start, read.Buffer.End);
        }
    }

    public override bool TryRead(out ReadResult result) => throw new NotSupportedException("HTTP/2 connections are read by ReadAsync");

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        passed -= given.Slice(given.Start, consumed).Length;
        given = default;
        input.AdvanceTo(consumed, examined);
    }

    public override void CancelPendingRead() => input.CancelPendingRead();

    public override void Complete(Exception? exception = null)
    {
        judge.End();
        input.Complete(exception);
    }

    /// <summary>Judges frames up to the first that is dropped behind one that passes, or that has not arrived far enough.</summary>
    /// <returns>Bytes to drop from the start.</returns>
    private long Judge(in ReadOnlySequence<byte> buffer, bool isLast)
    {
        var (dropped, at) = (0L, passed);
        while (at < buffer.Length)
        {
            if (frameLeft == 0 && !TryBegin(buffer.Slice(at), isLast))
                break;
            var take = Math.Min(frameLeft, buffer.Length - at);
            if (isFrameDropped)
            {
                if (passed > 0)
                    break;
                dropped += take;
            }
            else
                passed += take;
            at += take;
            frameLeft -= take;
        }
        return dropped;
    }

    private bool TryBegin(in ReadOnlySequence<byte> rest, bool isLast)
    {
        Span<byte> copy = stackalloc byte[Http2Frame.HeaderBytes];
        if (rest.Length < copy.Length)
            return isLast && Begin(rest.Length, drops: false);
        var frame = Http2Frame.Read(First(rest, copy));
        var length = Http2Frame.HeaderBytes + frame.Length;
        if (!judge.NeedsPayload(frame))
            return Begin(length, judge.Drops(frame, default));
        if (rest.Length < length)
            return isLast && Begin(rest.Length, drops: false);
        return Begin(length, judge.Drops(frame, rest.Slice(Http2Frame.HeaderBytes, frame.Length)));
    }

    private bool Begin(long length, bool drops)
    {
        (frameLeft, isFrameDropped) = (length, drops);
        return true;
    }

    private static ReadOnlySpan<byte> First(in ReadOnlySequence<byte> rest, Span<byte> copy)
    {
        if (rest.FirstSpan.Length >= copy.Length)
            return rest.FirstSpan[..copy.Length];
        rest.Slice(0, copy.Length).CopyTo(copy);
        return copy;
    }
}
