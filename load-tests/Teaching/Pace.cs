namespace KdServing.LoadTests.Teaching;

/// <summary>How fast to stream: a pure function of what the two ends can do.</summary>
public static class Pace
{
    /// <summary>Share of the slower end's capacity that is used; the rest absorbs what a shared machine does.</summary>
    public const double Share = 0.7;

    // Before the Distiller has said what it can do.
    private const double UnknownShare = 0.35;

    // A second's reading is noisy: go a fifth of the way, so that a doubt of one reading costs little.
    private const double Smoothing = 0.2;

    private const double RateMin = 1;

    /// <summary>The next second's rate, impressions a second.</summary>
    /// <param name="current">This second's; null at the start, which jumps to the aim.</param>
    /// <param name="ownCapacity">Impressions per busy second of the teacher; null while not measured, which keeps the rate.</param>
    /// <param name="readerCapacity">Records per busy second of the Distiller; null while unknown.</param>
    public static double Next(double? current, double? ownCapacity, double? readerCapacity)
    {
        if (ownCapacity is not > 0)
            return current ?? RateMin;
        var aim = readerCapacity is > 0
            ? Share * Math.Min(ownCapacity.Value, readerCapacity.Value)
            : UnknownShare * ownCapacity.Value;
        return Math.Max(RateMin, current is { } rate ? rate + Smoothing * (aim - rate) : aim);
    }
}
