using System.Diagnostics;

namespace KdServing.Serving.Models;

/// <summary>Cuts work done beside requests into bites with rests between them: what waits for a core waits for a bite, not for the whole.</summary>
/// <remarks>
/// Niceness says who gets a core next, not how long it is held, and caches have no niceness at all. Where cores are few, a load of 10 ms in
/// one piece is in the way of every request of those 10 ms. Rests are bounded in sum: a large table is not kept from being served. One thread.
/// </remarks>
internal sealed class Pace
{
    public static readonly TimeSpan Bite = TimeSpan.FromMicroseconds(250);

    // The shortest that Thread.Sleep knows.
    private static readonly TimeSpan Rests = TimeSpan.FromMilliseconds(1);

    // Small beside a refresh of seconds.
    public static readonly TimeSpan MostRests = TimeSpan.FromMilliseconds(250);

    private long since;

    /// <summary>Rests that may still be taken.</summary>
    public TimeSpan Left { get; private set; }

    /// <summary>A piece of work begins.</summary>
    /// <param name="rests">False: nobody would gain by rests.</param>
    public void Begin(bool rests)
    {
        Left = rests ? MostRests : TimeSpan.Zero;
        since = Stopwatch.GetTimestamp();
    }

    /// <summary>A place to stop: rests when a bite has been done since the last rest.</summary>
    public void Rest()
    {
        if (Left <= TimeSpan.Zero || Stopwatch.GetElapsedTime(since) < Bite)
            return;
        var started = Stopwatch.GetTimestamp();
        Thread.Sleep(Rests);
        since = Stopwatch.GetTimestamp();
        Left -= Stopwatch.GetElapsedTime(started, since);
    }
}
