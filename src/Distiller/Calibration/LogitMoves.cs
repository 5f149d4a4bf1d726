namespace KdServing.Distiller.Calibration;

/// <summary>How far mean and spread of the logits move from one block of records to the next by themselves: the measure of a jump.</summary>
/// <remarks>
/// The method of batch means. Records resemble their neighbours (one session, one hour, one piece of news): the error of a mean that is reckoned
/// from single records is several times too small on real traffic, and every version would seem to jump.
/// </remarks>
public readonly record struct LogitMoves
{
    private const double Fade = 1 - 1.0 / 20;

    private LogitMoments Block { get; init; }

    private bool HasLast { get; init; }

    private double LastMean { get; init; }

    private double LastSpread { get; init; }

    private double MeanSquares { get; init; }

    private double SpreadSquares { get; init; }

    /// <summary>Moves seen, old ones counting less.</summary>
    public double Count { get; private init; }

    /// <summary>Root of the mean square.</summary>
    public double OfMean => Math.Sqrt(MeanSquares / Count);

    /// <inheritdoc cref="OfMean"/>
    public double OfSpread => Math.Sqrt(SpreadSquares / Count);

    /// <summary>With one more record.</summary>
    public LogitMoves With(double mean, double square, int blockRecords)
    {
        var block = Block.With(mean, square);
        if (block.Records < blockRecords)
            return this with { Block = block };
        var moved = HasLast
            ? this with
            {
                Count = Fade * Count + 1,
                MeanSquares = Fade * MeanSquares + Math.Pow(block.Mean - LastMean, 2),
                SpreadSquares = Fade * SpreadSquares + Math.Pow(block.Spread - LastSpread, 2),
            }
            : this;
        return moved with { Block = default, HasLast = true, LastMean = block.Mean, LastSpread = block.Spread };
    }

    public void Save(BinaryWriter writer)
    {
        Block.Save(writer);
        writer.Write(HasLast);
        foreach (var number in (double[])[LastMean, LastSpread, MeanSquares, SpreadSquares, Count])
            writer.Write(number);
    }

    public static LogitMoves Restore(BinaryReader reader) => new()
    {
        Block = LogitMoments.Restore(reader),
        HasLast = reader.ReadBoolean(),
        LastMean = reader.ReadDouble(),
        LastSpread = reader.ReadDouble(),
        MeanSquares = reader.ReadDouble(),
        SpreadSquares = reader.ReadDouble(),
        Count = reader.ReadDouble(),
    };
}
