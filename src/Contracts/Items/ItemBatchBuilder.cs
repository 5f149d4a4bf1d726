namespace KdServing.Contracts;

/// <summary>Makes the columns of an <see cref="ItemBatch"/> from one item after the other. One thread; used again after <see cref="Take"/>.</summary>
public sealed class ItemBatchBuilder
{
    private readonly FeatureSchema schema;
    private ItemBatch batch = new();
    private Column[] columns = [];

    public ItemBatchBuilder(FeatureSchema schema)
    {
        this.schema = schema;
        Begin();
    }

    /// <summary>Items put and removed so far.</summary>
    public int Count => batch.Put.Count + batch.Remove.Count;

    /// <summary>True when something is removed: a batch removes last, so an item put now must go into the next one.</summary>
    public bool HasRemovals => batch.Remove.Count > 0;

    public void Remove(long id) => batch.Remove.Add(id);

    /// <summary>Puts an item whose k-th static feature has value <paramref name="values"/>[k], in the schema's order.</summary>
    public void Put(long id, ReadOnlySpan<ItemValue> values)
    {
        batch.Put.Add(id);
        for (var k = 0; k < columns.Length; k++)
        {
            switch (columns[k].ValuesCase)
            {
                case Column.ValuesOneofCase.Floats:
                    columns[k].Floats.Value.Add(values[k].Number);
                    break;
                case Column.ValuesOneofCase.Sequences:
                    var ids = values[k].Ids ?? [];
                    columns[k].Sequences.Value.AddRange(ids);
                    columns[k].Sequences.Lengths.Add(ids.Length);
                    break;
                default:
                    columns[k].Ints.Value.Add(values[k].Id);
                    break;
            }
        }
    }

    /// <summary>The batch so far; the builder is empty afterwards.</summary>
    public ItemBatch Take()
    {
        if (batch.Put.Count > 0)
            batch.Features.AddRange(columns);
        batch.SchemaFingerprint = schema.Fingerprint;
        var taken = batch;
        Begin();
        return taken;
    }

    private void Begin()
    {
        batch = new();
        columns = [.. schema.Item.Features.Select(f => f.Kind switch
        {
            FeatureKind.Numeric => new Column { Name = f.Name, Floats = new() },
            FeatureKind.Sequence => new Column { Name = f.Name, Sequences = new() },
            _ => new Column { Name = f.Name, Ints = new() },
        })];
    }
}

/// <summary>The raw value of one static feature of one item: an id, a number or a list of ids, as the feature's kind asks.</summary>
public readonly record struct ItemValue(long Id = 0, float Number = 0, long[]? Ids = null);
