using System.Runtime.InteropServices;
using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>One feature group, decoded for the rows of a batch: table rows, normalised numbers, ragged sequences.</summary>
/// <remarks>Buffers are kept between batches: filling it again allocates nothing once it has seen its largest batch. One thread.</remarks>
public sealed class GroupRows
{
    private readonly List<int>[] tableRows;
    private readonly List<int>[] starts;
    private readonly List<float>[] numbers;
    private readonly List<int> lengths = [];

    public GroupRows(FeatureGroup group)
    {
        Group = group;
        tableRows = [.. group.Features.Select(_ => new List<int>())];
        starts = [.. group.Features.Select(_ => new List<int>())];
        numbers = [.. group.Features.Select(_ => new List<float>())];
        Clear();
    }

    public FeatureGroup Group { get; }

    public int Count { get; private set; }

    /// <summary>Table rows of the k-th feature: [Count], or all sequences end to end.</summary>
    public ReadOnlySpan<int> TableRows(int k) => CollectionsMarshal.AsSpan(tableRows[k]);

    /// <summary>Sequence feature: row r owns <see cref="TableRows"/>[starts[r] .. starts[r + 1]]; [Count + 1].</summary>
    public ReadOnlySpan<int> SequenceStarts(int k) => CollectionsMarshal.AsSpan(starts[k]);

    /// <summary>Numeric feature: normalised values, [Count].</summary>
    public ReadOnlySpan<float> Numbers(int k) => CollectionsMarshal.AsSpan(numbers[k]);

    public void Clear()
    {
        Count = 0;
        for (var k = 0; k < tableRows.Length; k++)
        {
            tableRows[k].Clear();
            numbers[k].Clear();
            starts[k].Clear();
            starts[k].Add(0);
        }
    }

    /// <summary>Appends rows from the group's columns.</summary>
    /// <param name="columns">As <see cref="ColumnReader.Match"/> found them: the k-th belongs to the k-th feature.</param>
    /// <exception cref="ContractException">A number is not finite.</exception>
    public void Append(ReadOnlySpan<Column> columns, int rows)
    {
        for (var k = 0; k < columns.Length; k++)
        {
            var feature = Group.Features[k];
            switch (feature.Kind)
            {
                case FeatureKind.Numeric:
                    ColumnReader.ReadNumbers(feature, columns[k], rows, Extend(numbers[k], rows), 1);
                    break;
                case FeatureKind.Sequence:
                    CollectionsMarshal.SetCount(lengths, rows);
                    ColumnReader.ReadSequences(feature, columns[k], tableRows[k], CollectionsMarshal.AsSpan(lengths));
                    foreach (var length in lengths)
                        starts[k].Add(starts[k][^1] + length);
                    break;
                default:
                    ColumnReader.ReadTableRows(feature, columns[k], Extend(tableRows[k], rows));
                    break;
            }
        }
        Count += rows;
    }

    /// <summary>Appends rows of which nothing is known: numbers at their mean, row 0 of every table, empty sequences.</summary>
    public void AppendAbsent(int rows)
    {
        for (var k = 0; k < Group.Features.Count; k++)
        {
            if (Group.Features[k].Kind == FeatureKind.Numeric)
                Extend(numbers[k], rows).Clear();
            else if (Group.Features[k].Kind == FeatureKind.Sequence)
                Extend(starts[k], rows).Fill(starts[k][Count]);
            else
                Extend(tableRows[k], rows).Clear();
        }
        Count += rows;
    }

    private static Span<T> Extend<T>(List<T> list, int rows)
    {
        var start = list.Count;
        CollectionsMarshal.SetCount(list, start + rows);
        return CollectionsMarshal.AsSpan(list)[start..];
    }
}
