namespace KdServing.Serving.Transport;

/// <summary>When <see cref="ThreadWatch"/> comes by next, by what it has seen so far: the more rarely the longer it was not needed.</summary>
internal struct WatchRhythm
{
    /// <summary>Longest time that nobody looks at sockets; a request of 1,000 candidates takes less.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(2);

    /// <summary>Pause at first, and whenever nobody has looked for as long.</summary>
    internal static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);

    internal static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(8);

    private static readonly TimeSpan QuietBeforeSleep = TimeSpan.FromMilliseconds(100);

    private TimeSpan quiet;

    public WatchRhythm()
    {
    }

    /// <summary>Until it comes by again.</summary>
    public TimeSpan Pause { get; private set; } = Shortest;

    /// <summary>Somebody has been idle each time, for long.</summary>
    public readonly bool MaySleep => quiet >= QuietBeforeSleep;

    /// <summary>It has come by.</summary>
    /// <param name="areBusy">Nobody was idle.</param>
    /// <param name="sinceLook">Since somebody has looked at the sockets; of no matter while somebody is idle, who looks at once when something comes.</param>
    /// <returns>True: somebody else has to look.</returns>
    public bool IsNeeded(bool areBusy, TimeSpan sinceLook)
    {
        quiet = areBusy ? TimeSpan.Zero : quiet + Pause;
        var isLate = areBusy && sinceLook > Shortest;
        Pause = isLate ? Shortest : TimeSpan.FromTicks(Math.Min(2 * Pause.Ticks, Longest.Ticks));
        return isLate && sinceLook > Patience;
    }
}
