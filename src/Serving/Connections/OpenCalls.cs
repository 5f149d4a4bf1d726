using Microsoft.Extensions.Options;

namespace KdServing.Serving.Connections;

/// <summary>The calls of all connections that are answered without Kestrel, which would not wait for them when the server stops. Any thread.</summary>
/// <param name="host">How long a stop waits.</param>
public sealed class OpenCalls(IOptions<HostOptions> host)
{
    // What is left of a stop is for Kestrel's own.
    private const double ShareOfStop = 0.5;

    private int open;
    private volatile bool isClosed;

    /// <summary>For a call that begins.</summary>
    /// <returns>False: the server stops.</returns>
    internal bool TryEnter()
    {
        Interlocked.Increment(ref open);
        if (!isClosed)
            return true;
        Leave();
        return false;
    }

    internal void Leave() => Interlocked.Decrement(ref open);

    /// <summary>Lets nobody in any more, every call is Kestrel's from then on, and waits until all have left. A client that does not end its request is not waited for to the last.</summary>
    public void Close()
    {
        isClosed = true;
        SpinWait.SpinUntil(() => Volatile.Read(ref open) == 0, host.Value.ShutdownTimeout * ShareOfStop);
    }
}
