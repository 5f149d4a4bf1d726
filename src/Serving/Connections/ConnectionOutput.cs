using System.Buffers;
using System.IO.Pipelines;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Connections;

/// <summary>A connection's output: what Kestrel writes, and between its frames ours.</summary>
/// <remarks>
/// Kestrel's bytes are kept until it flushes, which it does at a frame's end: frames of ours are never in the midst of one. Bodies of both draw on
/// one <see cref="SharedWindow"/>: a frame that exceeds it waits, and those behind it.
/// Whoever writes while nobody flushes flushes, without the lock; what others write meanwhile goes out next, together. What is ours may be held a
/// moment before (<see cref="GatheredSends"/>). Any thread.
/// </remarks>
/// <param name="output">To the client.</param>
/// <param name="openCalls">Told while something waits, so that a stop waits for it.</param>
/// <param name="bodies">Told what Kestrel will not be sent any more.</param>
internal sealed partial class ConnectionOutput(PipeWriter output, OpenCalls openCalls, GatheredSends gathered, OpenBodies bodies) : PipeWriter
{
    // Beyond that, replies are not to be made of which the client does not take those that it has.
    private const int MaxWaiting = 256 * 1024;

    private readonly Lock gate = new();
    private readonly ArrayBufferWriter<byte> kestrels = new();
    // Frames that wait; those of the second for nothing but their turn.
    private readonly FrameQueue waiting = new();
    private readonly FrameQueue urgent = new();
    private readonly SharedWindow window = new();
    // A server's first frame is its SETTINGS (RFC 9113, section 3.4): until Kestrel has sent them, nothing goes out.
    private bool hasBegun;
    private bool isFlushing;
    private bool isHeld;
    private bool isCompleted;
    private Exception? failure;
    private Action? sendHeld;
    private volatile Task<FlushResult> slow = Task.FromResult(default(FlushResult));

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => kestrels.WrittenCount;

    /// <summary>The client does not take what it is sent: many bytes wait for it.</summary>
    public bool IsCongested
    {
        get
        {
            lock (gate)
                return waiting.Count + urgent.Count > MaxWaiting;
        }
    }

    /// <summary>Sends frames that take none of the window.</summary>
    /// <returns>Completes late when the client does not read what it is sent.</returns>
    public ValueTask SendAsync(ReadOnlySpan<byte> frames)
    {
        lock (gate)
        {
            if (isCompleted)
                return default;
            AddUrgent(frames);
            if (!TryBeginFlush(mayHold: true))
                return new(slow);
        }
        var flush = Flush(default);
        return flush.IsCompletedSuccessfully ? default : new(flush.AsTask());
    }

    /// <summary>Sends a piece of a reply's message.</summary>
    /// <param name="begins">Headers are sent before it.</param>
    /// <param name="ends">Trailers are sent behind it.</param>
    public void Send(int stream, ReadOnlySpan<byte> message, bool begins = true, bool ends = true)
    {
        Span<byte> header = stackalloc byte[Http2Frame.HeaderBytes];
        lock (gate)
        {
            if (isCompleted)
                return;
            if (begins)
                Add(CallFrames.Headers, stream);
            while (!message.IsEmpty)
            {
                var payload = message[..Math.Min(message.Length, Http2Frame.MaxPayload)];
                Http2Frame.Write(header, payload.Length, FrameType.Data, 0, stream);
                Add(header, payload);
                message = message[payload.Length..];
            }
            if (ends)
                Add(CallFrames.Trailers, stream);
            if (!TryBeginFlush(mayHold: true))
                return;
        }
        Flush(default);
    }

    /// <summary>The client takes more.</summary>
    /// <inheritdoc cref="SharedWindow.Add" path="/returns"/>
    public int AddCredit(int bytes)
    {
        int told;
        lock (gate)
        {
            told = window.Add(bytes);
            if (isCompleted || isFlushing || !hasBegun || !WriteWaiting())
                return told;
            isFlushing = true;
        }
        Flush(default);
        return told;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        lock (gate)
        {
            AddKestrels();
            if (!TryBeginFlush())
                return new(slow);
        }
        return Flush(cancellationToken);
    }

    public override Memory<byte> GetMemory(int sizeHint = 0) => kestrels.GetMemory(sizeHint);

    public override Span<byte> GetSpan(int sizeHint = 0) => kestrels.GetSpan(sizeHint);

    public override void Advance(int bytes) => kestrels.Advance(bytes);

    public override void CancelPendingFlush() => output.CancelPendingFlush();

    public override void Complete(Exception? exception = null)
    {
        lock (gate)
        {
            if (isCompleted)
                return;
            AddKestrels();
            (isCompleted, failure) = (true, exception);
            // Whoever flushes sends what it still can, and completes.
            if (isFlushing)
                return;
            isFlushing = true;
        }
        End();
    }

    // Whole frames; what is left of one stays. What waits for the window is bounded by what Kestrel thinks that the client takes.
    private void AddKestrels()
    {
        if (!hasBegun)
        {
            hasBegun = true;
            output.Write(kestrels.WrittenSpan);
            kestrels.ResetWrittenCount();
            WriteWaiting();
            return;
        }
        var rest = kestrels.WrittenSpan;
        while (Http2Frame.First(rest) is { IsEmpty: false } frame)
        {
            var header = Http2Frame.Read(frame);
            window.KestrelWrote(header);
            if (header.Type == FrameType.ResetStream)
                bodies.End(header.Stream);
            if (header.Type is FrameType.Settings or FrameType.Ping or FrameType.WindowUpdate)
                AddUrgent(frame);
            else
                Add(frame, []);
            rest = rest[frame.Length..];
        }
        var left = rest.ToArray();
        kestrels.ResetWrittenCount();
        kestrels.Write(left);
    }

    private void AddUrgent(ReadOnlySpan<byte> frames)
    {
        if (hasBegun && !isFlushing)
            output.Write(frames);
        else
            urgent.Add(frames);
    }

    private void Add(byte[] template, int stream)
    {
        Span<byte> frame = stackalloc byte[template.Length];
        template.CopyTo(frame);
        Http2Frame.WriteStream(frame, stream);
        Add(frame, []);
    }

    // One frame, in one or two pieces.
    private void Add(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (hasBegun && !isFlushing && waiting.IsEmpty && window.TryTake(Http2Frame.Read(first)))
        {
            output.Write(first);
            output.Write(second);
            return;
        }
        if (waiting.IsEmpty)
            openCalls.Enter();
        waiting.Add(first);
        waiting.Add(second);
    }

    private bool WriteWaiting()
    {
        var isWritten = false;
        while (urgent.Peek() is { IsEmpty: false } frame)
            Write(frame, urgent);
        if (waiting.IsEmpty)
            return isWritten;
        while (waiting.Peek() is { IsEmpty: false } frame && window.TryTake(Http2Frame.Read(frame)))
            Write(frame, waiting);
        if (waiting.IsEmpty)
            openCalls.Leave();
        return isWritten;

        void Write(ReadOnlySpan<byte> frame, FrameQueue from)
        {
            output.Write(frame);
            from.Remove(frame.Length);
            isWritten = true;
        }
    }
}
