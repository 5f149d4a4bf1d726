using System.Net.Sockets;

namespace Grpc.Net.Client.Internal;

/// <summary>A connection that says when it is closed.</summary>
internal sealed class TrackedStream(Socket socket, Action onClosed) : NetworkStream(socket, ownsSocket: true)
{
    private int _isClosed;

    /// <summary>False when the peer has closed a connection on which nothing was sent yet.</summary>
    public bool IsAlive => !Socket.Poll(0, SelectMode.SelectRead) || Socket.Available > 0;

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (Interlocked.Exchange(ref _isClosed, 1) == 0)
            onClosed();
    }
}
