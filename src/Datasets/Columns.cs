using System.Runtime.InteropServices;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>Builds columns in wire form; raw bytes are little-endian, as every machine .NET runs on here.</summary>
public static class Columns
{
    /// <summary>One int64 a row.</summary>
    public static Column OfInts(string name, ReadOnlySpan<long> values) =>
        new() { Name = name, RawInt64 = ByteString.CopyFrom(MemoryMarshal.AsBytes(values)) };

    /// <summary>One float32 a row.</summary>
    public static Column OfFloats(string name, ReadOnlySpan<float> values) =>
        new() { Name = name, RawFloat32 = ByteString.CopyFrom(MemoryMarshal.AsBytes(values)) };

    /// <summary>A single row.</summary>
    public static Column OfInt(string name, long value) =>
        new() { Name = name, Ints = new Int64Values { Value = { value } } };

    /// <summary>A single row.</summary>
    public static Column OfFloat(string name, float value) =>
        new() { Name = name, Floats = new FloatValues { Value = { value } } };

    /// <summary>One text a row.</summary>
    public static Column OfTexts(string name, IEnumerable<string> values)
    {
        var column = new Column { Name = name, Strings = new StringValues() };
        column.Strings.Value.AddRange(values);
        return column;
    }

    /// <summary>A single row that holds a list of ids, which may be empty.</summary>
    public static Column OfSequence(string name, ReadOnlySpan<long> ids)
    {
        var sequences = new Int64Sequences { Lengths = { ids.Length } };
        foreach (var id in ids)
            sequences.Value.Add(id);
        return new Column { Name = name, Sequences = sequences };
    }

    /// <summary>The column of the given rows of a described CSV column.</summary>
    public static Column OfRows(string name, ColumnType type, int position, IReadOnlyList<CsvRow> rows)
    {
        switch (type)
        {
            case ColumnType.Int64:
                var ints = new long[rows.Count];
                for (var r = 0; r < ints.Length; r++)
                    ints[r] = rows[r].Ints[position];
                return OfInts(name, ints);
            case ColumnType.Float:
                var floats = new float[rows.Count];
                for (var r = 0; r < floats.Length; r++)
                    floats[r] = rows[r].Floats[position];
                return OfFloats(name, floats);
            default:
                return OfTexts(name, rows.Select(r => r.Texts[position]));
        }
    }

    /// <summary>The single-row column of a described CSV column.</summary>
    public static Column OfRow(string name, ColumnType type, int position, CsvRow row) => type switch
    {
        ColumnType.Int64 => OfInt(name, row.Ints[position]),
        ColumnType.Float => OfFloat(name, row.Floats[position]),
        _ => OfTexts(name, [row.Texts[position]]),
    };
}
