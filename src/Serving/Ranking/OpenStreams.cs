namespace KdServing.Serving.Ranking;

/// <summary>The ranking streams that clients hold open; any thread.</summary>
/// <remarks>
/// A stopping server ends them, and then closes their connections. A client that has not read the end by then finds the connection gone
/// instead (.NET's HttpClient drops what it had received, replies included), so the stop waits a moment where there were streams.
/// </remarks>
/// <param name="linger">Time a busy client's threads get a turn within.</param>
public sealed class OpenStreams(TimeSpan linger)
{
    private int open;
    private int ended;

    public void Enter() => Interlocked.Increment(ref open);

    /// <param name="byStop">The server ended it.</param>
    public void Leave(bool byStop)
    {
        if (byStop)
            Interlocked.Increment(ref ended);
        Interlocked.Decrement(ref open);
    }

    /// <summary>Called when the streams have been told to end, before connections are closed.</summary>
    public void WaitForReaders()
    {
        if (Volatile.Read(ref open) > 0 || Volatile.Read(ref ended) > 0)
            Thread.Sleep(linger);
    }
}
