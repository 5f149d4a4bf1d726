using Microsoft.Extensions.Options;

namespace KdServing.Serving.Connections;

/// <summary>What of all connections is on its way without Kestrel, which would not wait for it when the server stops: calls, and replies for which a client has no room. Any thread.</summary>
/// <param name="host">How long a stop waits.</param>
public sealed class OpenCalls(IOptions<HostOptions> host)
{
    // What is left of a stop is for Kestrel's own.
    private const double ShareOfStop = 0.5;

    private int open;
    private volatile bool isClosed;

    /// <summary>How much is on its way.</summary>
    internal int Count => Volatile.Read(ref open);

    /// <summary>For a call that begins.</summary>
    /// <returns>False: the server stops.</returns>
    internal bool TryEnter()
    {
        Enter();
        if (!isClosed)
            return true;
        Leave();
        return false;
    }

    /// <summary>For what is on its way already.</summary>
    internal void Enter() => Interlocked.Increment(ref open);

    internal void Leave() => Interlocked.Decrement(ref open);

    /// <summary>Lets nobody in any more, every call is Kestrel's from then on, and waits until all have left. A client that does not end its request, or takes no reply, is not waited for to the last.</summary>
    public void Close()
    {
        isClosed = true;
        SpinWait.SpinUntil(() => Count == 0, host.Value.ShutdownTimeout * ShareOfStop);
    }
}
