using System.Buffers;
using System.ComponentModel;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace KdServing.Serving.Transport;

/// <summary>Accepts <see cref="PolledConnection"/>s.</summary>
internal sealed class PolledListener(Socket socket, RankingThreads threads, MemoryPool<byte> pool) : IConnectionListener
{
    // Out of descriptors, or of kernel memory: until somebody gives some back.
    private static readonly TimeSpan ShortagePause = TimeSpan.FromMilliseconds(100);

    private long count;

    public EndPoint EndPoint { get; } = socket.LocalEndPoint!;

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Socket? accepted = null;
            try
            {
                accepted = await socket.AcceptAsync(cancellationToken);
                return new PolledConnection($"kd-{Interlocked.Increment(ref count)}", accepted, threads, pool);
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return null;
            }
            catch (SocketException e) when (e.SocketErrorCode is not (SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable))
            {
                // A client that was gone before its turn came.
                accepted?.Dispose();
            }
            catch (Exception e) when (e is SocketException or Win32Exception)
            {
                accepted?.Dispose();
                await Task.Delay(ShortagePause, cancellationToken);
            }
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default) => DisposeAsync();

    public ValueTask DisposeAsync()
    {
        socket.Dispose();
        return default;
    }
}
