using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>
/// The features of a request's candidates, one column a feature, as table rows or as floats; a block of candidates is made of them
/// when the kernel is about to multiply it, so that a whole request's matrix never exists.
/// </summary>
/// <remarks>Belongs to one run; one thread at a time. Allocates nothing once it is as large as the requests.</remarks>
internal sealed unsafe class CandidateColumns
{
    private readonly NativeBuffer values;
    private readonly FeatureColumn[] columns;
    private readonly int itemFeatures;
    private readonly int unitsPerCandidate;
    private readonly int linesPerCandidate;
    private nint* ahead;

    /// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
    /// <param name="values">Where the columns lie; the owner frees it.</param>
    public CandidateColumns(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables, NativeBuffer values)
    {
        this.values = values;
        columns = [.. schema.Item.Features.Concat(schema.Live.Features).Select(f => FeatureColumn.Of(f, tables))];
        itemFeatures = schema.Item.Features.Count;
        unitsPerCandidate = columns.Sum(c => c.Units);
        linesPerCandidate = columns.Sum(c => c.Table?.LinesARow ?? 0);
    }

    /// <summary>Every feature: static ones first.</summary>
    public ReadOnlySpan<FeatureColumn> All => columns;

    /// <summary>Static item features.</summary>
    public ReadOnlySpan<FeatureColumn> Item => columns.AsSpan(0, itemFeatures);

    /// <summary>Live and cross features.</summary>
    public ReadOnlySpan<FeatureColumn> Live => columns.AsSpan(itemFeatures);

    /// <summary>Makes room; every column is this object's own again.</summary>
    public void Reserve(int candidates)
    {
        var aheadBytes = linesPerCandidate * StudentKernel.BlockRows * sizeof(nint);
        values.Reserve(checked(aheadBytes + sizeof(float) * (long)unitsPerCandidate * candidates));
        ahead = (nint*)values.Floats;
        var next = (float*)((byte*)ahead + aheadBytes);
        foreach (ref var column in columns.AsSpan())
        {
            column.Data = next;
            column.Stride = column.Units;
            next += (nint)column.Units * candidates;
        }
    }

    /// <summary>Table rows of the k-th feature (item features first), to be written.</summary>
    public Span<int> Rows(int k, int candidates) => new(columns[k].Data, candidates);

    /// <summary>Floats of the k-th feature (item features first), [candidates, width], to be written.</summary>
    public Span<float> Floats(int k, int candidates) => new(columns[k].Data, candidates * columns[k].Width);

    /// <summary>Reads the item features' table rows from the caller's memory, row-major [candidates, item features], until the next <see cref="Reserve"/>.</summary>
    public void Borrow(int* rows)
    {
        for (var k = 0; k < itemFeatures; k++)
        {
            columns[k].Data = rows + k;
            columns[k].Stride = itemFeatures;
        }
    }

    /// <summary>Asks for the first block's rows of the k-th feature, now that they are known: they come while the next features are read.</summary>
    public void AskForFirst(int k, int candidates)
    {
        ref readonly var column = ref columns[k];
        column.Table?.PrefetchRows((int*)column.Data, column.Stride, Math.Min(StudentKernel.BlockRows, candidates));
    }

    /// <summary>The table rows of some candidates, to be asked for while others are multiplied; until the next call.</summary>
    /// <param name="group">Of this object: <see cref="All"/>, <see cref="Item"/> or <see cref="Live"/>.</param>
    /// <param name="count">At most <see cref="StudentKernel.BlockRows"/>.</param>
    public RowsAhead Ahead(ReadOnlySpan<FeatureColumn> group, int first, int count)
    {
        var lines = 0;
        foreach (ref readonly var column in group)
        {
            if (column.Table is not { } table)
                continue;
            table.WriteLines((int*)column.Data + first * column.Stride, column.Stride, count, ahead + lines);
            lines += count * table.LinesARow;
        }
        // More than the first cache would hold beside what is multiplied.
        return new(new(ahead, lines), RowsAhead.CacheLine, isFar: true);
    }

    /// <summary>Writes the vectors of some candidates: each feature at its place.</summary>
    /// <param name="group">Of this object: <see cref="Item"/> or <see cref="Live"/>.</param>
    /// <param name="first">First candidate of the block.</param>
    /// <param name="to">[count, <paramref name="stride"/>].</param>
    public static void Fill(ReadOnlySpan<FeatureColumn> group, int first, int count, float* to, nint stride)
    {
        foreach (ref readonly var column in group)
        {
            if (column.Table is { } table)
                table.CopyRows((int*)column.Data + first * column.Stride, column.Stride, count, to + column.Offset, stride);
            else
            {
                var from = (float*)column.Data + first * column.Stride;
                var place = to + column.Offset;
                for (var r = 0; r < count; r++, from += column.Stride, place += stride)
                {
                    if (column.Width == 1)
                        *place = *from;
                    else
                        new ReadOnlySpan<float>(from, column.Width).CopyTo(new Span<float>(place, column.Width));
                }
            }
        }
    }
}

/// <summary>One feature of every candidate.</summary>
internal unsafe struct FeatureColumn
{
    /// <summary>Where the rows are; null when the column holds floats.</summary>
    public EmbeddingTable? Table;

    /// <summary>int32 table rows, or float32 [candidates, <see cref="Width"/>].</summary>
    public void* Data;

    /// <summary>4-byte units from one candidate to the next.</summary>
    public nint Stride;

    /// <summary>Floats in the group's vector.</summary>
    public int Width;

    /// <summary>First float in the group's vector.</summary>
    public int Offset;

    /// <summary>4-byte units a candidate, when the column is the owner's own.</summary>
    public readonly int Units => Table is null ? Width : 1;

    public static FeatureColumn Of(Feature feature, IReadOnlyList<EmbeddingTable> tables) => new()
    {
        Table = feature.Kind is FeatureKind.Hash or FeatureKind.Vocabulary ? tables[feature.Table] : null,
        Width = feature.Width,
        Offset = feature.Offset,
    };
}
