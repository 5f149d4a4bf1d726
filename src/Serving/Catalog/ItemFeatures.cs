using KdServing.Contracts;

namespace KdServing.Serving.Catalog;

/// <summary>Raw static features of every slot, a column a feature, in chunks that never move.</summary>
/// <remarks>
/// The catalog's thread writes a slot before it is published; from then on any thread reads it until the slot is given back. Raw values,
/// not table rows: another version may hash into tables of another size.
/// </remarks>
internal sealed class ItemFeatures(ItemLayout layout)
{
    private const int ChunkShift = 12;
    private const int ChunkSlots = 1 << ChunkShift;

    private Array[][] chunks = [];

    public ItemLayout Layout { get; } = layout;

    /// <summary>Managed bytes held, without the lists of sequences.</summary>
    public long Bytes => (long)Volatile.Read(ref chunks).Length * ChunkSlots * Layout.ItemBytes;

    /// <summary>Writes the item of row <paramref name="row"/> into a slot nobody reads.</summary>
    public void Write(int slot, ItemRows items, int row)
    {
        while (slot >> ChunkShift >= chunks.Length)
            Volatile.Write(ref chunks, [.. chunks, NewChunk()]);
        var (chunk, at) = (chunks[slot >> ChunkShift], slot & (ChunkSlots - 1));
        for (var k = 0; k < chunk.Length; k++)
        {
            switch (Layout.Values[k].Kind)
            {
                case ItemValueKind.Id:
                    ((long[])chunk[k])[at] = items.Ids(k)[row];
                    break;
                case ItemValueKind.Number:
                    ((float[])chunk[k])[at] = items.Numbers(k)[row];
                    break;
                default:
                    ((long[][])chunk[k])[at] = items.Lists(k)[row];
                    break;
            }
        }
    }

    /// <summary>Does the slot hold exactly this item? Then nothing needs to change.</summary>
    public bool Equals(int slot, ItemRows items, int row)
    {
        var (chunk, at) = (chunks[slot >> ChunkShift], slot & (ChunkSlots - 1));
        for (var k = 0; k < chunk.Length; k++)
        {
            var same = Layout.Values[k].Kind switch
            {
                ItemValueKind.Id => ((long[])chunk[k])[at] == items.Ids(k)[row],
                ItemValueKind.Number => ((float[])chunk[k])[at].Equals(items.Numbers(k)[row]),
                _ => ((long[][])chunk[k])[at].AsSpan().SequenceEqual(items.Lists(k)[row]),
            };
            if (!same)
                return false;
        }
        return true;
    }

    /// <summary>The item encoder's input for some slots: [slots, item width]. Any thread.</summary>
    /// <param name="group">Static item features of the version that encodes.</param>
    /// <param name="rows">Scratch; at least as long as <paramref name="slots"/>.</param>
    public void Assemble(FeatureGroup group, FeatureAssembler assembler, ReadOnlySpan<int> slots, Span<float> item, Span<int> rows)
    {
        var all = Volatile.Read(ref chunks);
        for (var k = 0; k < group.Features.Count; k++)
        {
            var feature = group.Features[k];
            switch (Layout.Values[k].Kind)
            {
                case ItemValueKind.Id:
                    for (var n = 0; n < slots.Length; n++)
                        rows[n] = feature.Row(((long[])all[slots[n] >> ChunkShift][k])[slots[n] & (ChunkSlots - 1)]);
                    assembler.GatherRows(feature, rows[..slots.Length], item, group.Width);
                    break;
                case ItemValueKind.Number:
                    for (var n = 0; n < slots.Length; n++)
                        item[n * group.Width + feature.Offset] = feature.Normalise(((float[])all[slots[n] >> ChunkShift][k])[slots[n] & (ChunkSlots - 1)]);
                    break;
                default:
                    for (var n = 0; n < slots.Length; n++)
                        assembler.MeanRow(feature, ((long[][])all[slots[n] >> ChunkShift][k])[slots[n] & (ChunkSlots - 1)], item.Slice(n * group.Width + feature.Offset, feature.Width));
                    break;
            }
        }
    }

    /// <summary>Which of a chunk's slots read a row that a version changed; the slots from <paramref name="first"/> on.</summary>
    /// <param name="changed">Raised to true, never lowered.</param>
    public void MarkChanged(FeatureGroup group, IReadOnlyList<EmbeddingTable> tables, int first, Span<bool> changed)
    {
        for (var k = 0; k < group.Features.Count; k++)
        {
            var feature = group.Features[k];
            if (feature.Table < 0)
                continue;
            var table = tables[feature.Table];
            for (var n = 0; n < changed.Length; n++)
            {
                var slot = first + n;
                var column = chunks[slot >> ChunkShift][k];
                if (column is long[] ids)
                    changed[n] |= table.IsDirty(feature.Row(ids[slot & (ChunkSlots - 1)]));
                else if (!changed[n])
                    changed[n] = AnyDirty(feature, table, ((long[][])column)[slot & (ChunkSlots - 1)]);
            }
        }
    }

    /// <summary>Columns of some slots, as they would be sent.</summary>
    public IEnumerable<Column> Columns(IReadOnlyList<int> slots)
    {
        for (var k = 0; k < Layout.Values.Count; k++)
        {
            var (name, kind) = Layout.Values[k];
            var column = new Column { Name = name };
            switch (kind)
            {
                case ItemValueKind.Id:
                    column.Ints = new() { Value = { slots.Select(s => ((long[])chunks[s >> ChunkShift][k])[s & (ChunkSlots - 1)]) } };
                    break;
                case ItemValueKind.Number:
                    column.Floats = new() { Value = { slots.Select(s => ((float[])chunks[s >> ChunkShift][k])[s & (ChunkSlots - 1)]) } };
                    break;
                default:
                    var lists = slots.Select(s => ((long[][])chunks[s >> ChunkShift][k])[s & (ChunkSlots - 1)]).ToList();
                    column.Sequences = new() { Value = { lists.SelectMany(l => l) }, Lengths = { lists.Select(l => l.Length) } };
                    break;
            }
            yield return column;
        }
    }

    private static bool AnyDirty(Feature feature, EmbeddingTable table, long[]? ids)
    {
        foreach (var id in ids.AsSpan(0, Math.Min(ids?.Length ?? 0, feature.MaxLength)))
        {
            if (table.IsDirty(feature.Row(id)))
                return true;
        }
        return false;
    }

    private Array[] NewChunk() => [.. Layout.Values.Select(v => v.Kind switch
    {
        ItemValueKind.Id => (Array)new long[ChunkSlots],
        ItemValueKind.Number => new float[ChunkSlots],
        _ => new long[ChunkSlots][],
    })];
}
