namespace KdServing.Distiller.Calibration;

/// <summary>How far mean and spread of a block of records are off what was learned before it, without any jump: the measure of a jump.</summary>
/// <remarks>
/// As the method of batch means has it. Records resemble their neighbours (one session, one hour, one piece of news): the error of a mean that is reckoned
/// from single records is several times too small on real traffic, and every version would seem to jump.
/// </remarks>
public readonly record struct LogitMoves
{
    private const double Fade = 1 - 1.0 / 20;

    private LogitMoments Block { get; init; }

    private LogitMoments BeforeBlock { get; init; }

    private double MeanSquares { get; init; }

    private double SpreadSquares { get; init; }

    /// <summary>Moves seen, old ones counting less.</summary>
    public double Count { get; private init; }

    /// <summary>Root of the mean square.</summary>
    public double OfMean => Math.Sqrt(MeanSquares / Count);

    /// <inheritdoc cref="OfMean"/>
    public double OfSpread => Math.Sqrt(SpreadSquares / Count);

    /// <summary>With one more record.</summary>
    /// <param name="learned">All up to it, without it.</param>
    public LogitMoves With(double mean, double square, LogitMoments learned, int blockRecords)
    {
        var (block, before) = (Block.With(mean, square), Block.Records == 0 ? learned : BeforeBlock);
        if (block.Records < blockRecords)
            return this with { Block = block, BeforeBlock = before };
        if (before.Records < blockRecords / 2.0)
            return this with { Block = default };
        return new()
        {
            Count = Fade * Count + 1,
            MeanSquares = Fade * MeanSquares + Math.Pow(block.Mean - before.Mean, 2),
            SpreadSquares = Fade * SpreadSquares + Math.Pow(block.Spread - before.Spread, 2),
        };
    }

    public void Save(BinaryWriter writer)
    {
        Block.Save(writer);
        BeforeBlock.Save(writer);
        writer.Write(MeanSquares);
        writer.Write(SpreadSquares);
        writer.Write(Count);
    }

    public static LogitMoves Restore(BinaryReader reader) => new()
    {
        Block = LogitMoments.Restore(reader),
        BeforeBlock = LogitMoments.Restore(reader),
        MeanSquares = reader.ReadDouble(),
        SpreadSquares = reader.ReadDouble(),
        Count = reader.ReadDouble(),
    };
}
