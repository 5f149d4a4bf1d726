using KdServing.Contracts;

namespace KdServing.Serving.Catalog;

/// <summary>The items a batch puts, a typed array a feature.</summary>
internal sealed class ItemRows
{
    private readonly Array[] values;

    private ItemRows(Array[] values) => this.values = values;

    /// <param name="batch">Validated.</param>
    public static ItemRows From(ItemBatch batch, FeatureGroup group)
    {
        var count = batch.Put.Count;
        var found = new Column[group.Features.Count];
        var values = new Array[found.Length];
        if (count > 0)
            ColumnReader.Match(batch.Features, "features", count, [group], found);
        for (var k = 0; k < found.Length; k++)
            values[k] = count == 0 ? Array.Empty<long>() : Read(ItemLayout.KindOf(group.Features[k]), found[k], count);
        return new(values);
    }

    public long[] Ids(int place) => (long[])values[place];

    public float[] Numbers(int place) => (float[])values[place];

    public long[][] Lists(int place) => (long[][])values[place];

    private static Array Read(ItemValueKind kind, Column column, int count)
    {
        switch (kind)
        {
            case ItemValueKind.Id:
                var ids = new long[count];
                ColumnReader.ReadIds(column, ids);
                return ids;
            case ItemValueKind.Number:
                var numbers = new float[count];
                ColumnReader.ReadRaw(column, numbers);
                return numbers;
            default:
                var lists = new long[count][];
                var start = 0;
                for (var r = 0; r < count; r++)
                {
                    var length = column.Sequences.Lengths[r];
                    lists[r] = length == 0 ? [] : [.. Enumerable.Range(start, length).Select(i => column.Sequences.Value[i])];
                    start += length;
                }
                return lists;
        }
    }
}
