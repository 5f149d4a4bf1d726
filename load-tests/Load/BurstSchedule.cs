namespace KdServing.LoadTests.Load;

/// <summary>Bursts on top of a steady rate: every so often many requests are due at one moment.</summary>
/// <param name="ratePerSecond">Of the steady requests.</param>
/// <param name="burst">Requests of a burst.</param>
/// <param name="everySeconds">From one burst to the next.</param>
internal sealed class BurstSchedule(double ratePerSecond, int burst, double everySeconds)
{
    private long steady;
    private long bursts = 1;
    private int sentOfBurst;

    /// <summary>Seconds from the start to the next intended send.</summary>
    public double NextSeconds()
    {
        var steadyAt = steady / ratePerSecond;
        var burstAt = bursts * everySeconds;
        if (steadyAt <= burstAt)
        {
            steady++;
            return steadyAt;
        }
        if (++sentOfBurst == burst)
            (bursts, sentOfBurst) = (bursts + 1, 0);
        return burstAt;
    }
}
