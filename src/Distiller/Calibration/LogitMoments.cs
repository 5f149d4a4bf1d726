namespace KdServing.Distiller.Calibration;

/// <summary>Mean and spread of a teacher's logits, and how sure they are.</summary>
/// <remarks>
/// Sums over records, not over candidates: the candidates of one record share their user and are no independent witnesses. Errors are
/// those of a mean over clusters; that of the spread by linearisation.
/// </remarks>
public readonly record struct LogitMoments
{
    private double First { get; init; }

    private double Second { get; init; }

    private double FirstFirst { get; init; }

    private double SecondSecond { get; init; }

    private double FirstSecond { get; init; }

    /// <summary>Records, old ones counting less where they fade.</summary>
    public double Records { get; private init; }

    public double Mean => First / Records;

    /// <summary>Standard deviation over all candidates.</summary>
    public double Spread => Math.Sqrt(Math.Max(0, Second / Records - Mean * Mean));

    public double MeanError => Math.Sqrt(Math.Max(0, FirstFirst / Records - Mean * Mean) / Records);

    /// <summary>Infinite when there is no spread.</summary>
    public double SpreadError
    {
        get
        {
            var (mean, square) = (Mean, Second / Records);
            // Of second − 2 · mean · first, the spread's square to first order.
            var variance = SecondSecond / Records - square * square - 4 * mean * (FirstSecond / Records - mean * square)
                + 4 * mean * mean * (FirstFirst / Records - mean * mean);
            return Spread == 0 ? double.PositiveInfinity : Math.Sqrt(Math.Max(0, variance) / Records) / (2 * Spread);
        }
    }

    /// <param name="mean">Of the record's logits.</param>
    /// <param name="square">Mean of their squares.</param>
    /// <param name="fade">What is left of the weight of all before; 1: everything.</param>
    public LogitMoments With(double mean, double square, double fade = 1) => new()
    {
        Records = fade * Records + 1,
        First = fade * First + mean,
        Second = fade * Second + square,
        FirstFirst = fade * FirstFirst + mean * mean,
        SecondSecond = fade * SecondSecond + square * square,
        FirstSecond = fade * FirstSecond + mean * square,
    };

    public void Save(BinaryWriter writer)
    {
        foreach (var sum in (double[])[Records, First, Second, FirstFirst, SecondSecond, FirstSecond])
            writer.Write(sum);
    }

    public static LogitMoments Restore(BinaryReader reader) => new()
    {
        Records = reader.ReadDouble(),
        First = reader.ReadDouble(),
        Second = reader.ReadDouble(),
        FirstFirst = reader.ReadDouble(),
        SecondSecond = reader.ReadDouble(),
        FirstSecond = reader.ReadDouble(),
    };
}
