namespace KdServing.Distiller.Calibration;

/// <summary>One version of a teacher for one target: what its logits are like, and how they are taken.</summary>
internal sealed class VersionScale
{
    private readonly Correction inherited;
    private LogitMoments own;
    private bool hasJumped;
    private LogitMap matched = LogitMap.Identity;
    private int labelled;

    /// <param name="before">Logits as they were learned when the version came.</param>
    /// <param name="inherited">How the version before was taken then.</param>
    public VersionScale(long version, LearnedLogits before, Correction inherited) =>
        (Version, Before, this.inherited, Correction) = (version, before, inherited, inherited);

    public long Version { get; }

    public long Records { get; private set; }

    public Correction Correction { get; private set; }

    public LogitMap Map => Correction.Map;

    /// <summary>Of the logits as the stream brought them, over the window.</summary>
    public LogitMoments Own => own;

    public LearnedLogits Before { get; }

    /// <summary>Notes one record's logits.</summary>
    public void Observe(double mean, double square, int windowRecords)
    {
        Records++;
        // Later the student has learned from it, and the traffic is another one: the window says what the change was.
        if (own.Records < windowRecords)
            own = own.With(mean, square);
    }

    /// <summary>Fits the map to all that was noted.</summary>
    /// <returns>True when a jump was found that had not been found before.</returns>
    public bool Fit(TeacherCalibrationConfig config)
    {
        if (VersionJump.Find(Before, own, inherited.Map, config, hasJumped ? matched : null) is not { } found)
            return false;
        var isNew = !hasJumped;
        (hasJumped, matched) = (true, found);
        if (config.Enabled)
            Correction = isNew ? new(inherited.Map, matched, 0, default) : Correction with { Matched = matched };
        return isNew;
    }

    /// <summary>Notes what a labelled record says of the jump.</summary>
    /// <param name="slope">Of its log loss, on the way from <see cref="Correction.Matched"/> to <see cref="Correction.Plain"/>.</param>
    public void Judge(double slope, int windowRecords)
    {
        labelled++;
        Correction = Correction with { Evidence = Correction.Evidence.With(slope, 1 - 1.0 / windowRecords) };
    }

    /// <summary>Lets the labels move the map.</summary>
    public void HandOn(int glideRecords)
    {
        if (labelled > 0)
            Correction = Correction.HandOn(labelled, glideRecords);
        labelled = 0;
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(Version);
        Before.Save(writer);
        inherited.Save(writer);
        own.Save(writer);
        writer.Write(hasJumped);
        matched.Save(writer);
        writer.Write(labelled);
        writer.Write(Records);
        Correction.Save(writer);
    }

    public static VersionScale Restore(BinaryReader reader) => new(reader.ReadInt64(), LearnedLogits.Restore(reader), Correction.Restore(reader))
    {
        own = LogitMoments.Restore(reader),
        hasJumped = reader.ReadBoolean(),
        matched = LogitMap.Restore(reader),
        labelled = reader.ReadInt32(),
        Records = reader.ReadInt64(),
        Correction = Correction.Restore(reader),
    };
}
