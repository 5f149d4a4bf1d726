using System.Buffers;
using System.Numerics.Tensors;

namespace KdServing.Contracts;

/// <summary>Makes the student's input matrices from raw columns and embedding rows: the one place where features become floats.</summary>
/// <remarks>
/// A group's matrix is row-major [rows, group width]; each feature fills its <see cref="Feature.Width"/> floats at its
/// <see cref="Feature.Offset"/>: the embedding row, the mean of a sequence's rows (zero when empty), or the normalised number.
/// Thread-safe while nobody writes the tables. Allocates nothing.
/// <code>
/// ColumnReader.Match(request.User, "user", 1, [schema.User], found);
/// assembler.AssembleUser(found, user);
/// </code>
/// </remarks>
/// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
public sealed class FeatureAssembler(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables)
{
    private readonly EmbeddingTable[] tables = [.. tables];

    /// <summary>User and context features.</summary>
    /// <param name="found">Matched columns of <see cref="FeatureSchema.User"/>.</param>
    /// <param name="user">[rows, user width]; rows is 1 for a request. Overwritten.</param>
    /// <exception cref="ContractException">A number is not finite.</exception>
    public void AssembleUser(ReadOnlySpan<Column> found, Span<float> user, int rows = 1) =>
        AssembleGroup(schema.User, found, rows, user);

    /// <summary>Static item features, then live and cross features.</summary>
    /// <param name="found">Matched columns of <see cref="FeatureSchema.Item"/> followed by those of <see cref="FeatureSchema.Live"/>.</param>
    /// <param name="item">[rows, item width]. Overwritten.</param>
    /// <param name="live">[rows, live width]; empty when the schema has none. Overwritten.</param>
    /// <exception cref="ContractException">A number is not finite.</exception>
    public void AssembleItems(ReadOnlySpan<Column> found, int rows, Span<float> item, Span<float> live)
    {
        AssembleGroup(schema.Item, found, rows, item);
        AssembleGroup(schema.Live, found[schema.Item.Features.Count..], rows, live);
    }

    /// <summary>One sequence feature alone.</summary>
    /// <param name="destination">[rows, feature width]. Overwritten.</param>
    public void AssembleSequences(Feature feature, Column column, int rows, Span<float> destination) =>
        MeanSequences(feature, column.Sequences, rows, destination, feature.Width, offset: 0);

    /// <summary>One group; <paramref name="found"/>[k] is the column of its k-th feature.</summary>
    /// <exception cref="ContractException">A number is not finite.</exception>
    public void AssembleGroup(FeatureGroup group, ReadOnlySpan<Column> found, int rows, Span<float> destination)
    {
        destination = destination[..(rows * group.Width)];
        var rented = ArrayPool<int>.Shared.Rent(rows);
        try
        {
            for (var k = 0; k < group.Features.Count; k++)
            {
                var feature = group.Features[k];
                switch (feature.Kind)
                {
                    case FeatureKind.Numeric:
                        ColumnReader.ReadNumbers(feature, found[k], rows, destination[feature.Offset..], group.Width);
                        break;
                    case FeatureKind.Sequence:
                        MeanSequences(feature, found[k].Sequences, rows, destination, group.Width, feature.Offset);
                        break;
                    default:
                        var tableRows = rented.AsSpan(0, rows);
                        ColumnReader.ReadTableRows(feature, found[k], tableRows);
                        Gather(tables[feature.Table], tableRows, destination, group.Width, feature.Offset);
                        break;
                }
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(rented);
        }
    }

    /// <summary>A hash or vocabulary feature whose table rows are known: row n's floats go to n · <paramref name="stride"/> + offset.</summary>
    public void GatherRows(Feature feature, ReadOnlySpan<int> tableRows, Span<float> destination, int stride) =>
        Gather(tables[feature.Table], tableRows, destination, stride, feature.Offset);

    /// <summary>A sequence feature of one row: the mean of its ids' rows, zero when there are none.</summary>
    /// <param name="mean">[feature width], overwritten.</param>
    public void MeanRow(Feature feature, ReadOnlySpan<long> ids, Span<float> mean)
    {
        var table = tables[feature.Table];
        var used = ids[..Math.Min(ids.Length, feature.MaxLength)];
        mean.Clear();
        foreach (var id in used)
            TensorPrimitives.Add(mean, table[feature.Row(id)], mean);
        if (used.Length > 0)
            TensorPrimitives.Divide(mean, used.Length, mean);
    }

    private static unsafe void Gather(EmbeddingTable table, ReadOnlySpan<int> tableRows, Span<float> destination, int stride, int offset)
    {
        if (tableRows.IsEmpty)
            return;
        // The last row ends inside; the others before it.
        _ = destination.Slice((tableRows.Length - 1) * stride + offset, table.Width);
        fixed (int* rows = tableRows)
        fixed (float* first = destination)
        {
            // Rows lie anywhere in a table larger than the caches: a share of them is fetched while the one before it is copied.
            for (var r = 0; r < tableRows.Length; r += RowsAhead)
            {
                var count = Math.Min(RowsAhead, tableRows.Length - r);
                table.PrefetchRows(rows + r + count, 1, Math.Min(RowsAhead, tableRows.Length - r - count));
                table.CopyRows(rows + r, 1, count, first + offset + (nint)r * stride, stride);
            }
        }
    }

    private const int RowsAhead = 16;

    private void MeanSequences(Feature feature, Int64Sequences sequences, int rows, Span<float> destination, int stride, int offset)
    {
        var table = tables[feature.Table];
        var start = 0;
        for (var r = 0; r < rows; r++)
        {
            var mean = destination.Slice(r * stride + offset, feature.Width);
            mean.Clear();
            var length = sequences.Lengths[r];
            var used = Math.Min(length, feature.MaxLength);
            for (var i = 0; i < used; i++)
                TensorPrimitives.Add(mean, table[feature.Row(sequences.Value[start + i])], mean);
            if (used > 0)
                TensorPrimitives.Divide(mean, used, mean);
            start += length;
        }
    }
}
