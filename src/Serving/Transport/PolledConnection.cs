using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace KdServing.Serving.Transport;

/// <summary>A connection whose socket is read and written by whichever of the <see cref="RankingThreads"/> is there; who reads the pipe does so on that thread.</summary>
/// <remarks>
/// A socket is read a block at a time, by one thread, and asked for again when what was read is taken. It is written on the thread that flushes, and only
/// when it has no room does the rest wait.
/// </remarks>
internal sealed class PolledConnection : DefaultConnectionContext, IMemoryPoolFeature
{
    // As Kestrel's sockets have it by default: what may lie between the socket and its reader, and the writer and the socket.
    private const int MaxUnread = 1024 * 1024;
    private const int MaxUnsent = 64 * 1024;
    // Room for less is not worth a call of the kernel.
    private const int MinRead = 16 * 1024;
    // Of a client that sends without end, before others have their turn.
    private const int MaxReads = 4;

    private readonly Socket socket;
    private readonly int descriptor;
    private readonly RankingThreads threads;
    private readonly Pipe input;
    private readonly Pipe output;
    private readonly CancellationTokenSource closed = new();
    private readonly Lock gate = new();
    private readonly Task sending;
    private readonly long id;
    // What the socket was asked for and has not told yet.
    private uint asked = Epoll.Readable;
    private TaskCompletionSource? room;
    private bool isClosed;

    /// <param name="id">In logs.</param>
    /// <param name="socket">Connected; this connection's from now on, unless it throws.</param>
    /// <exception cref="System.ComponentModel.Win32Exception">The kernel has no room for it.</exception>
    /// <exception cref="SocketException">It has ended already.</exception>
    public PolledConnection(string id, Socket socket, RankingThreads threads, MemoryPool<byte> pool)
        : base(id)
    {
        (this.socket, this.threads, MemoryPool) = (socket, threads, pool);
        socket.NoDelay = true;
        socket.Blocking = false;
        descriptor = (int)socket.Handle;
        input = new(new(pool, PipeScheduler.Inline, PipeScheduler.Inline, MaxUnread, MaxUnread / 2, useSynchronizationContext: false));
        output = new(new(pool, PipeScheduler.Inline, PipeScheduler.Inline, MaxUnsent, MaxUnsent / 2, useSynchronizationContext: false));
        Transport = new Ends(input.Reader, output.Writer);
        (LocalEndPoint, RemoteEndPoint, ConnectionClosed) = (socket.LocalEndPoint, socket.RemoteEndPoint, closed.Token);
        Features.Set<IMemoryPoolFeature>(this);
        sending = SendAsync();
        lock (gate)
            this.id = threads.Register(this, descriptor, asked);
    }

    public MemoryPool<byte> MemoryPool { get; }

    /// <summary>The socket tells what it is ready for.</summary>
    public void OnReady(uint events)
    {
        // Anything else is an error, which reading and writing find out.
        if ((events & ~(Epoll.Readable | Epoll.Writable)) != 0)
            events = Epoll.Readable | Epoll.Writable;
        TaskCompletionSource? hasRoom = null;
        bool reads;
        lock (gate)
        {
            reads = (asked & events & Epoll.Readable) != 0;
            if ((asked & events & Epoll.Writable) != 0)
                (hasRoom, room) = (room, null);
            asked &= ~events;
            if (asked != 0)
                threads.Ask(id, descriptor, asked);
        }
        if (reads)
            Receive();
        hasRoom?.SetResult();
    }

    public override void Abort() => Close();

    public override void Abort(ConnectionAbortedException abortReason) => Close();

    public override async ValueTask DisposeAsync()
    {
        // Not those of Transport, in whose place others have put theirs.
        await input.Reader.CompleteAsync();
        await output.Writer.CompleteAsync();
        await sending;
        Close();
    }

    private void Receive()
    {
        for (var left = MaxReads; left > 0; left--)
        {
            var memory = input.Writer.GetMemory(MinRead);
            var count = TryReceive(memory.Span, out var error);
            if (error == SocketError.WouldBlock)
                break;
            if (count == 0)
            {
                EndInput(error);
                return;
            }
            input.Writer.Advance(count);
            var flush = input.Writer.FlushAsync();
            if (!flush.IsCompletedSuccessfully)
            {
                _ = GoOnAsync(flush);
                return;
            }
            if (flush.Result.IsCompleted)
            {
                EndInput(SocketError.Success);
                return;
            }
            if (count < memory.Length)
                break;
        }
        AskToRead();
    }

    // When the reader has taken some of what there is.
    private async Task GoOnAsync(ValueTask<FlushResult> flush)
    {
        if ((await flush).IsCompleted)
            EndInput(SocketError.Success);
        else
            AskToRead();
    }

    private void AskToRead()
    {
        if (!TryAsk(Epoll.Readable))
            EndInput(SocketError.OperationAborted);
    }

    private bool TryAsk(uint events)
    {
        lock (gate)
        {
            if (isClosed)
                return false;
            asked |= events;
            threads.Ask(id, descriptor, asked);
            return true;
        }
    }

    // By whoever reads, or keeps others from reading: nobody writes to the pipe from then on.
    private void EndInput(SocketError error)
    {
        input.Writer.Complete(error == SocketError.Success ? null : Failure(error));
        // On the pool: who has asked to be told may take long.
        _ = closed.CancelAsync();
    }

    private async Task SendAsync()
    {
        try
        {
            var error = SocketError.Success;
            for (var isLast = false; !isLast && error == SocketError.Success;)
            {
                var read = await output.Reader.ReadAsync();
                foreach (var piece in read.Buffer)
                {
                    if (error == SocketError.Success)
                        error = await SendAsync(piece);
                }
                output.Reader.AdvanceTo(read.Buffer.End);
                isLast = read.IsCompleted;
            }
        }
        catch (Exception)
        {
            // Who writes has given up: the connection ends here.
        }
        // Who writes is told that nothing goes out any more, and no more than that: who reads is told what has happened.
        await output.Reader.CompleteAsync();
        Close();
    }

    private async ValueTask<SocketError> SendAsync(ReadOnlyMemory<byte> piece)
    {
        while (!piece.IsEmpty)
        {
            piece = piece[TrySend(piece.Span, out var error)..];
            if (error == SocketError.WouldBlock)
            {
                var hasRoom = new TaskCompletionSource();
                room = hasRoom;
                if (!TryAsk(Epoll.Writable))
                    return SocketError.OperationAborted;
                await hasRoom.Task;
            }
            else if (error != SocketError.Success)
            {
                return error;
            }
        }
        return SocketError.Success;
    }

    private int TryReceive(Span<byte> bytes, out SocketError error)
    {
        try
        {
            return socket.Receive(bytes, SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            error = SocketError.OperationAborted;
            return 0;
        }
    }

    private int TrySend(ReadOnlySpan<byte> bytes, out SocketError error)
    {
        try
        {
            return socket.Send(bytes, SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            error = SocketError.OperationAborted;
            return 0;
        }
    }

    private static ConnectionResetException Failure(SocketError error) => new($"the connection has ended: {error}", new SocketException((int)error));

    private void Close()
    {
        TaskCompletionSource? hasRoom;
        bool isRead;
        lock (gate)
        {
            if (isClosed)
                return;
            isClosed = true;
            isRead = (asked & Epoll.Readable) == 0;
            (hasRoom, room, asked) = (room, null, 0);
            threads.Remove(id, descriptor);
            try
            {
                socket.Shutdown(SocketShutdown.Both);
            }
            catch (SocketException)
            {
                // The other side was faster.
            }
            socket.Dispose();
        }
        hasRoom?.SetResult();
        if (!isRead)
            EndInput(SocketError.OperationAborted);
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
