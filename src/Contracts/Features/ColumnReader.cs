using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Finds and decodes the columns of a request or a record. Allocates nothing a row.</summary>
public static class ColumnReader
{
    /// <summary>For each feature of the groups, in order, its column: <paramref name="found"/>[k] belongs to the k-th feature.</summary>
    /// <param name="rows">Rows every column must have.</param>
    /// <exception cref="ContractException">A column is missing, unknown, given twice, of another type, or of another length.</exception>
    public static void Match(IReadOnlyList<Column> columns, string field, int rows, ReadOnlySpan<FeatureGroup> groups, Span<Column> found)
    {
        found.Clear();
        for (var c = 0; c < columns.Count; c++)
        {
            var k = IndexOf(columns[c].Name, c, groups, out var feature);
            if (k < 0)
                throw new ContractException($"{field}[{c}].name", $"unknown feature '{Printable(columns[c].Name)}'; expected: {Names(groups)}");
            if (found[k] is not null)
                throw new ContractException($"{field}[{c}].name", $"feature '{columns[c].Name}' is given twice");
            CheckShape(feature!, columns[c], rows, field, c);
            found[k] = columns[c];
        }
        var missing = found.IndexOf((Column)null!);
        if (missing >= 0)
            throw new ContractException(field, $"feature '{At(groups, missing).Name}' is missing; expected: {Names(groups)}");
    }

    /// <summary>Table rows of a hash or vocabulary column; [rows].</summary>
    public static void ReadTableRows(Feature feature, Column column, Span<int> tableRows)
    {
        switch (column.ValuesCase)
        {
            case Column.ValuesOneofCase.RawInt64 when feature.Kind != FeatureKind.Vocabulary:
                FeatureHash.Rows(MemoryMarshal.Cast<byte, long>(column.RawInt64.Span), feature.HashSeed, feature.Buckets, tableRows);
                break;
            case Column.ValuesOneofCase.RawInt64:
                var raw = MemoryMarshal.Cast<byte, long>(column.RawInt64.Span);
                for (var r = 0; r < tableRows.Length; r++)
                    tableRows[r] = feature.Row(raw[r]);
                break;
            case Column.ValuesOneofCase.Ints:
                var ints = column.Ints.Value;
                for (var r = 0; r < tableRows.Length; r++)
                    tableRows[r] = feature.Row(ints[r]);
                break;
            default:
                for (var r = 0; r < tableRows.Length; r++)
                    tableRows[r] = feature.Row(FeatureHash.StringId(column.Strings.Value[r]));
                break;
        }
    }

    /// <summary>Raw ids of a hash or vocabulary column, strings as <see cref="FeatureHash.StringId"/>; [rows].</summary>
    public static void ReadIds(Column column, Span<long> ids)
    {
        switch (column.ValuesCase)
        {
            case Column.ValuesOneofCase.RawInt64:
                MemoryMarshal.Cast<byte, long>(column.RawInt64.Span).CopyTo(ids);
                break;
            case Column.ValuesOneofCase.Ints:
                for (var r = 0; r < ids.Length; r++)
                    ids[r] = column.Ints.Value[r];
                break;
            default:
                for (var r = 0; r < ids.Length; r++)
                    ids[r] = FeatureHash.StringId(column.Strings.Value[r]);
                break;
        }
    }

    /// <summary>Values of a numeric column as they were sent; [rows].</summary>
    public static void ReadRaw(Column column, Span<float> values)
    {
        if (column.ValuesCase == Column.ValuesOneofCase.RawFloat32)
        {
            MemoryMarshal.Cast<byte, float>(column.RawFloat32.Span).CopyTo(values);
            return;
        }
        for (var r = 0; r < values.Length; r++)
            values[r] = column.Floats.Value[r];
    }

    /// <summary>Normalised values of a numeric column, <paramref name="stride"/> floats apart.</summary>
    /// <exception cref="ContractException">A value is not finite.</exception>
    public static void ReadNumbers(Feature feature, Column column, int rows, Span<float> destination, int stride)
    {
        var raw = column.ValuesCase == Column.ValuesOneofCase.RawFloat32
            ? MemoryMarshal.Cast<byte, float>(column.RawFloat32.Span)
            : default;
        for (var r = 0; r < rows; r++)
        {
            var value = raw.IsEmpty ? column.Floats.Value[r] : raw[r];
            if (!float.IsFinite(value))
                throw new ContractException(feature.Name, $"value {value} of row {r} is not finite");
            destination[r * stride] = feature.Normalise(value);
        }
    }

    /// <summary>Table rows of a sequence column: row r owns the next <paramref name="lengths"/>[r] of <paramref name="tableRows"/>.</summary>
    /// <param name="tableRows">Appended to; at most <see cref="Feature.MaxLength"/> a row.</param>
    /// <param name="lengths">[rows], written.</param>
    public static void ReadSequences(Feature feature, Column column, List<int> tableRows, Span<int> lengths)
    {
        var start = 0;
        for (var r = 0; r < lengths.Length; r++)
        {
            var length = column.Sequences.Lengths[r];
            lengths[r] = Math.Min(length, feature.MaxLength);
            for (var i = 0; i < lengths[r]; i++)
                tableRows.Add(feature.Row(column.Sequences.Value[start + i]));
            start += length;
        }
    }

    private static void CheckShape(Feature feature, Column column, int rows, string field, int place)
    {
        // The field's full name is made for an error only: this runs once a column of every request.
        var accepted = feature.Kind switch
        {
            FeatureKind.Numeric => column.ValuesCase is Column.ValuesOneofCase.Floats or Column.ValuesOneofCase.RawFloat32,
            FeatureKind.Sequence => column.ValuesCase is Column.ValuesOneofCase.Sequences,
            _ => column.ValuesCase is Column.ValuesOneofCase.Ints or Column.ValuesOneofCase.RawInt64 or Column.ValuesOneofCase.Strings,
        };
        if (!accepted)
        {
            var expected = feature.Kind switch
            {
                FeatureKind.Numeric => "floats or raw_float32",
                FeatureKind.Sequence => "sequences",
                _ => "ints, raw_int64 or strings",
            };
            throw new ContractException($"{field}[{place}]", $"feature '{feature.Name}' must be sent as {expected}, not {column.ValuesCase}");
        }
        var (count, unit) = column.ValuesCase switch
        {
            Column.ValuesOneofCase.Ints => (column.Ints.Value.Count, rows),
            Column.ValuesOneofCase.Floats => (column.Floats.Value.Count, rows),
            Column.ValuesOneofCase.Strings => (column.Strings.Value.Count, rows),
            Column.ValuesOneofCase.RawInt64 => (column.RawInt64.Length, checked(rows * sizeof(long))),
            Column.ValuesOneofCase.RawFloat32 => (column.RawFloat32.Length, checked(rows * sizeof(float))),
            _ => (column.Sequences.Lengths.Count, rows),
        };
        if (count != unit)
            throw new ContractException($"{field}[{place}]", $"feature '{feature.Name}' has {count} {(unit == rows ? "values" : "bytes")}, expected {unit} for {rows} rows");
        if (column.ValuesCase == Column.ValuesOneofCase.Sequences)
            CheckSequences(feature, column.Sequences, field, place);
    }

    private static void CheckSequences(Feature feature, Int64Sequences sequences, string field, int place)
    {
        var total = 0L;
        // By index: the enumerator of a repeated field is an object.
        for (var r = 0; r < sequences.Lengths.Count; r++)
        {
            var length = sequences.Lengths[r];
            if (length < 0)
                throw new ContractException($"{field}[{place}].sequences.lengths", $"feature '{feature.Name}' has a negative length");
            total += length;
        }
        if (total != sequences.Value.Count)
            throw new ContractException($"{field}[{place}].sequences", $"feature '{feature.Name}' has {sequences.Value.Count} values, but its lengths add up to {total}");
    }

    // Clients tend to send columns in the schema's order: the feature at the same place is looked at first.
    private static int IndexOf(string name, int place, ReadOnlySpan<FeatureGroup> groups, out Feature? feature)
    {
        var k = 0;
        foreach (var group in groups)
        {
            if (place - k is var i && i >= 0 && i < group.Features.Count && group.Features[i].Name == name)
            {
                feature = group.Features[i];
                return place;
            }
            k += group.Features.Count;
        }
        k = 0;
        foreach (var group in groups)
        {
            for (var i = 0; i < group.Features.Count; i++, k++)
            {
                feature = group.Features[i];
                if (feature.Name == name)
                    return k;
            }
        }
        feature = null;
        return -1;
    }

    private static Feature At(ReadOnlySpan<FeatureGroup> groups, int k)
    {
        foreach (var group in groups)
        {
            if (k < group.Features.Count)
                return group.Features[k];
            k -= group.Features.Count;
        }
        throw new ArgumentOutOfRangeException(nameof(k));
    }

    private static string Names(ReadOnlySpan<FeatureGroup> groups)
    {
        var names = new List<string>();
        foreach (var group in groups)
            names.AddRange(group.Features.Select(f => f.Name));
        return string.Join(", ", names);
    }

    // What a client sent, cut and stripped of control characters before it is echoed.
    private static string Printable(string text) =>
        new([.. text.Take(64).Select(c => char.IsControl(c) ? '?' : c)]);
}
