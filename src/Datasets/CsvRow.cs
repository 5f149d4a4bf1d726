namespace KdServing.Datasets;

/// <summary>One row of typed values, by position in <see cref="DatasetDescription.Columns"/>. The reader reuses it: copy what must outlive the next row.</summary>
public sealed class CsvRow(int columns)
{
    /// <summary>Values of int64 columns.</summary>
    public long[] Ints { get; } = new long[columns];

    /// <summary>Values of float columns.</summary>
    public float[] Floats { get; } = new float[columns];

    /// <summary>Values of string columns.</summary>
    public string[] Texts { get; } = new string[columns];

    public CsvRow Copy()
    {
        var copy = new CsvRow(Ints.Length);
        CopyTo(copy);
        return copy;
    }

    public void CopyTo(CsvRow other)
    {
        Ints.CopyTo(other.Ints, 0);
        Floats.CopyTo(other.Floats, 0);
        Texts.CopyTo(other.Texts, 0);
    }
}
