using KdServing.Datasets;

namespace KdServing.LoadTests.Teaching;

/// <summary>Which part of the history the teacher learns before the replay, in event time.</summary>
/// <param name="FromMs">Impressions before it only build up the data's running counts.</param>
/// <param name="ToMs">Time of the last one; null when not known beforehand.</param>
public readonly record struct PreparationRange(long FromMs, long? ToMs)
{
    /// <summary>
    /// The last <paramref name="impressions"/> clicks of a click log, found by one pass over its times; all of any other dataset.
    /// The newest history is worth most: articles live for hours.
    /// </summary>
    public static PreparationRange Of(DatasetReader reader, int impressions)
    {
        if (reader.Description is not { ClickLog: not null, Time: { } time } || impressions == 0)
            return new(long.MinValue, null);
        var position = reader.Description.Columns.Select((c, i) => (c, i)).First(x => x.c.Name == time.Column).i;
        var newest = new long[impressions];
        long rows = 0;
        foreach (var row in reader.Rows(DatasetPart.Preparation))
            newest[rows++ % impressions] = time.ToMs(row.Ints[position]);
        return rows == 0
            ? new(long.MinValue, null)
            : new(rows <= impressions ? newest[0] : newest[rows % impressions], newest[(rows - 1) % impressions]);
    }
}
