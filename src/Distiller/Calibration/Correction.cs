namespace KdServing.Distiller.Calibration;

/// <summary>How a version is taken since the last jump: between two maps, the labels deciding where.</summary>
/// <param name="Plain">As if the jump had been none: it is handed on to the student.</param>
/// <param name="Matched">The jump is taken out.</param>
/// <param name="HandedOn">Share of the jump that the labels have borne out, 0 to 1.</param>
public sealed record Correction(LogitMap Plain, LogitMap Matched, double HandedOn, LabelEvidence Evidence)
{
    public static readonly Correction None = new(LogitMap.Identity, LogitMap.Identity, 0, default);

    public LogitMap Map => LogitMap.Between(Matched, Plain, HandedOn);

    /// <summary>There is a jump for the labels to judge.</summary>
    public bool IsOpen => Plain != Matched;

    /// <param name="records">Labelled records since the last time.</param>
    public Correction HandOn(int records, int glideRecords) => Evidence.Direction is var direction and not 0
        ? this with { HandedOn = Math.Clamp(HandedOn + direction * (double)records / glideRecords, 0, 1) }
        : this;

    public void Save(BinaryWriter writer)
    {
        Plain.Save(writer);
        Matched.Save(writer);
        writer.Write(HandedOn);
        Evidence.Save(writer);
    }

    public static Correction Restore(BinaryReader reader) =>
        new(LogitMap.Restore(reader), LogitMap.Restore(reader), reader.ReadDouble(), LabelEvidence.Restore(reader));
}
