namespace KdServing.Distiller.Calibration;

/// <summary>The logits of one teacher as they are learned, whichever version they are of: what a new version is compared with.</summary>
public readonly record struct LearnedLogits(LogitMoments Moments, LogitMoves Moves)
{
    public LearnedLogits With(double mean, double square, TeacherCalibrationConfig config) =>
        new(Moments.With(mean, square, 1 - 1.0 / config.WindowRecords), Moves.With(mean, square, Moments, config.BlockRecords));

    public void Save(BinaryWriter writer)
    {
        Moments.Save(writer);
        Moves.Save(writer);
    }

    public static LearnedLogits Restore(BinaryReader reader) => new(LogitMoments.Restore(reader), LogitMoves.Restore(reader));
}
