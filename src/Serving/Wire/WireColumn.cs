using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Wire;

/// <summary>A <see cref="Column"/> where it lies in a request: its name and its values, undecoded.</summary>
internal ref struct WireColumn
{
    /// <summary>UTF-8.</summary>
    public ReadOnlySpan<byte> Name;

    /// <summary>Which form the values have; <see cref="Column.ValuesOneofCase.None"/> until one is found.</summary>
    public Column.ValuesOneofCase Kind;

    /// <summary>Varints of <c>ints</c> or of a sequence's values, or little-endian values of the raw forms and of <c>floats</c>.</summary>
    public ReadOnlySpan<byte> Values;

    /// <summary>Varints of a sequence's lengths.</summary>
    public ReadOnlySpan<byte> Lengths;

    /// <summary>Reads the ordinary form that encoders write: each field once, lists packed.</summary>
    /// <returns>False for anything else, valid or not: the generated parser then reads it, or says what is wrong.</returns>
    public static bool TryRead(ReadOnlySpan<byte> message, out WireColumn column)
    {
        column = default;
        try
        {
            for (var reader = new ProtobufReader(message); reader.Read();)
            {
                if (!reader.HasBytes)
                    return false;
                if (reader.Field == Column.NameFieldNumber)
                {
                    column.Name = reader.Bytes;
                    continue;
                }
                if (column.Kind != Column.ValuesOneofCase.None)
                    return false;
                column.Kind = (Column.ValuesOneofCase)reader.Field;
                if (!column.TryReadValues(reader.Bytes))
                    return false;
            }
            return column.Kind != Column.ValuesOneofCase.None;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private bool TryReadValues(ReadOnlySpan<byte> bytes)
    {
        switch (Kind)
        {
            case Column.ValuesOneofCase.RawInt64 or Column.ValuesOneofCase.RawFloat32:
                Values = bytes;
                return true;
            case Column.ValuesOneofCase.Ints or Column.ValuesOneofCase.Floats or Column.ValuesOneofCase.Sequences:
                var (hasValues, hasLengths) = (false, Kind != Column.ValuesOneofCase.Sequences);
                for (var reader = new ProtobufReader(bytes); reader.Read();)
                {
                    if (reader is { HasBytes: true, Field: Int64Sequences.ValueFieldNumber } && !hasValues)
                    {
                        hasValues = true;
                        Values = reader.Bytes;
                    }
                    else if (reader is { HasBytes: true, Field: Int64Sequences.LengthsFieldNumber } && !hasLengths)
                    {
                        hasLengths = true;
                        Lengths = reader.Bytes;
                    }
                    else
                    {
                        return false;
                    }
                }
                return true;
            default:
                return false;
        }
    }
}
