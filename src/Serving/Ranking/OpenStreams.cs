namespace KdServing.Serving.Ranking;

/// <summary>The ranking streams that clients hold open; any thread.</summary>
/// <remarks>
/// A stopping server ends them, and then closes their connections. A client that has not read the end by then finds the connection gone
/// instead (.NET's HttpClient drops what it had received, replies included), so the stop waits a moment where there were streams.
/// </remarks>
/// <param name="linger">Time in which a busy client's threads get a turn.</param>
public sealed class OpenStreams(TimeSpan linger)
{
    private int unread;

    /// <summary>The stop is waiting: what has ended can still be read.</summary>
    public bool AreLingering { get; private set; }

    public void Enter() => Interlocked.Increment(ref unread);

    /// <summary>Its client ended it. A stream that the stop ends is not left: its client has yet to read that.</summary>
    public void Leave() => Interlocked.Decrement(ref unread);

    /// <summary>Called when the streams have been told to end, before connections are closed.</summary>
    public void WaitForReaders()
    {
        if (Volatile.Read(ref unread) == 0)
            return;
        AreLingering = true;
        Thread.Sleep(linger);
    }
}
