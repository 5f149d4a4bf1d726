namespace KdServing.Distiller.Calibration;

/// <summary>Mean and spread of a teacher's logits; sums over records, each weighing 1 however many candidates it has.</summary>
public readonly record struct LogitMoments
{
    private double First { get; init; }

    private double Second { get; init; }

    /// <summary>Records, old ones counting less where they fade.</summary>
    public double Records { get; private init; }

    public double Mean => First / Records;

    /// <summary>Standard deviation over all candidates.</summary>
    public double Spread => Math.Sqrt(Math.Max(0, Second / Records - Mean * Mean));

    /// <param name="mean">Of the record's logits.</param>
    /// <param name="square">Mean of their squares.</param>
    /// <param name="fade">What is left of the weight of all before; 1: everything.</param>
    public LogitMoments With(double mean, double square, double fade = 1) => new()
    {
        Records = fade * Records + 1,
        First = fade * First + mean,
        Second = fade * Second + square,
    };

    public void Save(BinaryWriter writer)
    {
        writer.Write(Records);
        writer.Write(First);
        writer.Write(Second);
    }

    public static LogitMoments Restore(BinaryReader reader) => new() { Records = reader.ReadDouble(), First = reader.ReadDouble(), Second = reader.ReadDouble() };
}
