namespace KdServing.Distiller.Calibration;

/// <summary>Whether a new version of a teacher speaks on another scale than what was learned just before, and the map that takes it back.</summary>
public static class VersionJump
{
    private const int MinRecords = 8;
    // Of moves that fade, five: 4.5.
    private const double MinMoves = 4;

    // Moves by chance of so many times their usual size are not believed. Few moves make a bad measure: Student's tails, roughly.
    private const double Sure = 4;

    // A teacher whose logits shrank further than so is broken, not rescaled.
    private const double MaxScale = 20;

    /// <summary>The map under which mean and spread are as before; null when under the one inherited they are no further off than they move anyway.</summary>
    /// <param name="before">Logits as they were learned before the version came.</param>
    /// <param name="own">The version's, as the stream brings them.</param>
    /// <param name="inherited">How the version before was taken.</param>
    /// <param name="found">What was found on fewer records: a jump stays one, though its first records may be the further ones.</param>
    public static LogitMap? Find(LearnedLogits before, LogitMoments own, LogitMap inherited, TeacherCalibrationConfig config, LogitMap? found = null)
    {
        var (moments, moves) = before;
        if (own.Records < MinRecords || moves.Count < MinMoves)
            return null;
        // Fewer records than a block move further by chance; more than a block hardly less, for moves add up.
        var sure = Sure * (1 + MinMoves / moves.Count) * Math.Sqrt(Math.Max(1, config.BlockRecords / own.Records));
        var scale = inherited.Scale;
        var isScaled = own.Spread > 0 && moments.Spread > 0 && ((found is { } map && map.Scale != scale)
            || Math.Abs(scale * own.Spread - moments.Spread) > Math.Max(config.Tolerance, sure * moves.OfSpread));
        var isShifted = found is not null || Math.Abs(inherited.Of(own.Mean) - moments.Mean) > Math.Max(config.Tolerance, sure * moves.OfMean);
        if (!isScaled && !isShifted)
            return null;
        if (isScaled)
            scale = Math.Clamp(moments.Spread / own.Spread, 1 / MaxScale, MaxScale);
        return new(scale, moments.Mean - scale * own.Mean);
    }
}
