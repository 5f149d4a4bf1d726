using System.Numerics;
using System.Runtime.InteropServices;
using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Training;

/// <summary>Copies embedding rows and numbers into a group's matrix: the forward half of the sparse layer.</summary>
public static unsafe class RowGather
{
    /// <summary>The group's vectors, [rows.Count, rows.Group.Width], a CPU tensor of its own memory.</summary>
    /// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>; read only.</param>
    public static Tensor Gather(IReadOnlyList<EmbeddingTable> tables, GroupRows rows)
    {
        var matrix = empty([rows.Count, rows.Group.Width], dtype: ScalarType.Float32);
        fixed (float* start = MemoryMarshal.Cast<byte, float>(matrix.bytes))
        {
            for (var k = 0; k < rows.Group.Features.Count; k++)
            {
                var feature = rows.Group.Features[k];
                var column = start + feature.Offset;
                switch (feature.Kind)
                {
                    case FeatureKind.Numeric:
                        Numbers(rows.Numbers(k), column, rows.Group.Width);
                        break;
                    case FeatureKind.Sequence:
                        Means(tables[feature.Table], rows.TableRows(k), rows.SequenceStarts(k), column, rows.Group.Width);
                        break;
                    default:
                        Rows(tables[feature.Table], rows.TableRows(k), column, rows.Group.Width);
                        break;
                }
            }
        }
        return matrix;
    }

    private static void Numbers(ReadOnlySpan<float> numbers, float* column, int stride)
    {
        for (var r = 0; r < numbers.Length; r++)
            column[(long)r * stride] = numbers[r];
    }

    private static void Rows(EmbeddingTable table, ReadOnlySpan<int> tableRows, float* column, int stride)
    {
        for (var r = 0; r < tableRows.Length; r++, column += stride)
            new ReadOnlySpan<float>(table.Address(tableRows[r]), table.Width).CopyTo(new Span<float>(column, table.Width));
    }

    private static void Means(EmbeddingTable table, ReadOnlySpan<int> tableRows, ReadOnlySpan<int> starts, float* column, int stride)
    {
        for (var r = 0; r + 1 < starts.Length; r++, column += stride)
        {
            new Span<float>(column, table.Width).Clear();
            for (var i = starts[r]; i < starts[r + 1]; i++)
                Add(column, table.Address(tableRows[i]), table.Width);
            var count = starts[r + 1] - starts[r];
            for (var d = 0; d < table.Width && count > 1; d++)
                column[d] /= count;
        }
    }

    /// <summary>into += from; [width].</summary>
    internal static void Add(float* into, float* from, int width)
    {
        var d = 0;
        for (; d + Vector<float>.Count <= width; d += Vector<float>.Count)
            (*(Vector<float>*)(into + d) + *(Vector<float>*)(from + d)).Store(into + d);
        for (; d < width; d++)
            into[d] += from[d];
    }

    /// <summary>into += scale × from; [width].</summary>
    internal static void AddScaled(float* into, float* from, int width, float scale)
    {
        var d = 0;
        for (; d + Vector<float>.Count <= width; d += Vector<float>.Count)
            (*(Vector<float>*)(into + d) + *(Vector<float>*)(from + d) * scale).Store(into + d);
        for (; d < width; d++)
            into[d] += from[d] * scale;
    }
}
