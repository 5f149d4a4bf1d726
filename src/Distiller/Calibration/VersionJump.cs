namespace KdServing.Distiller.Calibration;

/// <summary>Whether a new version of a teacher speaks on another scale than what was learned just before, and the map that takes it back.</summary>
public static class VersionJump
{
    // Below them, errors of moments mean nothing.
    private const int MinRecordsBefore = 32;
    private const int MinRecords = 8;

    // Standard errors. Looked at after every batch of every version, on records that resemble their neighbours.
    private const double Sure = 4;

    // A teacher whose logits shrank further than so is broken, not rescaled.
    private const double MaxScale = 20;

    /// <summary>The map under which mean and spread are as before; null when they are, within tolerance and certainty, under the one inherited.</summary>
    /// <param name="before">Logits as they were learned before the version came.</param>
    /// <param name="own">The version's, as the stream brings them.</param>
    /// <param name="inherited">How the version before was taken.</param>
    /// <param name="tolerance">In logits.</param>
    public static LogitMap? Find(LogitMoments before, LogitMoments own, LogitMap inherited, double tolerance)
    {
        if (before.Records < MinRecordsBefore || own.Records < MinRecords)
            return null;
        var scale = inherited.Scale;
        var hasSpread = own.Spread > 0 && before.Spread > 0;
        // A few records may be alike by chance: they are taken to differ as much among themselves as those before.
        var alike = Math.Sqrt(before.Records / own.Records);
        var isScaled = hasSpread
            && IsSure(scale * own.Spread - before.Spread, Math.Max(scale * own.SpreadError, alike * before.SpreadError), before.SpreadError, tolerance);
        var isShifted = IsSure(inherited.Of(own.Mean) - before.Mean, Math.Max(scale * own.MeanError, alike * before.MeanError), before.MeanError, tolerance);
        if (!isScaled && !isShifted)
            return null;
        if (isScaled)
            scale = Math.Clamp(before.Spread / own.Spread, 1 / MaxScale, MaxScale);
        return new(scale, before.Mean - scale * own.Mean);
    }

    private static bool IsSure(double change, double error, double otherError, double tolerance) =>
        Math.Abs(change) > Math.Max(tolerance, Sure * Math.Sqrt(error * error + otherError * otherError));
}
