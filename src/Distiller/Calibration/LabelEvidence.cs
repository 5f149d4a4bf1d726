namespace KdServing.Distiller.Calibration;

/// <summary>Slope of the labels' log loss along the way from one map to another: a mean over records that fades, and its certainty.</summary>
public readonly record struct LabelEvidence
{
    private const int MinRecords = 64;
    private const double Sure = 3;

    private double Weight { get; init; }

    private double Sum { get; init; }

    private double Squares { get; init; }

    /// <summary>1: further on the way the labels are met better, −1: worse, 0: not sure.</summary>
    public int Direction
    {
        get
        {
            if (Weight < MinRecords)
                return 0;
            var mean = Sum / Weight;
            var error = Math.Sqrt(Math.Max(0, Squares / Weight - mean * mean) / Weight);
            return Math.Abs(mean) > Sure * error ? -Math.Sign(mean) : 0;
        }
    }

    public LabelEvidence With(double slope, double fade) => new()
    {
        Weight = fade * Weight + 1,
        Sum = fade * Sum + slope,
        Squares = fade * Squares + slope * slope,
    };

    public void Save(BinaryWriter writer)
    {
        writer.Write(Weight);
        writer.Write(Sum);
        writer.Write(Squares);
    }

    public static LabelEvidence Restore(BinaryReader reader) => new() { Weight = reader.ReadDouble(), Sum = reader.ReadDouble(), Squares = reader.ReadDouble() };
}
