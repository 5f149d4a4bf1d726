using System.Globalization;
using System.Text;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>
/// How a <see cref="TeacherRecord"/> lies in a stream entry: field <c>v</c> = format (1), field <c>r</c> = the protobuf; fields
/// <c>p</c> and <c>s</c>, optional, repeat producer and sequence, so that an entry that can not be read is not taken for one that
/// never came.
/// </summary>
public static class LogitEntry
{
    public const int Format = 1;

    public static readonly RedisValue FormatField = "v";
    public static readonly RedisValue RecordField = "r";
    public static readonly RedisValue ProducerField = "p";
    public static readonly RedisValue SequenceField = "s";

    /// <summary>The record of an entry as Redis replies it (field, value, field, value, …), for who only looks; null when there is none that can be read.</summary>
    public static TeacherRecord? TryRead(RedisResult[] fields)
    {
        for (var i = 0; i + 1 < fields.Length; i += 2)
        {
            // One that can not be read is the Distiller's business: it goes to the dead letters there.
            if ((string?)fields[i] == RecordField && UntrustedMessage.TryParse(TeacherRecord.Parser, (byte[])fields[i + 1]!, out var record))
                return record;
        }
        return null;
    }

    /// <summary>Reads and validates an entry.</summary>
    /// <exception cref="ContractException">The entry is not a valid record of this schema.</exception>
    public static TeacherRecord Parse(byte[]? format, byte[]? record, FeatureSchema schema)
    {
        RequireFormat(format, record);
        if (!UntrustedMessage.TryParse(TeacherRecord.Parser, record, out var parsed))
            throw new ContractException("r", "is not a TeacherRecord");
        TeacherRecordValidation.Require(parsed, schema);
        return parsed;
    }

    /// <summary>Reads and validates an entry of the labels' stream.</summary>
    /// <exception cref="ContractException">The entry is not a valid label record of this schema.</exception>
    public static LabelRecord ParseLabels(byte[]? format, byte[]? record, FeatureSchema schema)
    {
        RequireFormat(format, record);
        if (!UntrustedMessage.TryParse(LabelRecord.Parser, record, out var parsed))
            throw new ContractException("r", "is not a LabelRecord");
        LabelRecordValidation.Require(parsed, schema);
        return parsed;
    }

    /// <summary>Who wrote an entry that can not be learned from, as far as it can be told; null when it can not.</summary>
    public static (string Producer, ulong Sequence)? Origin(byte[]? record, byte[]? producer, byte[]? sequence)
    {
        if (producer is { Length: > 0 and <= TeacherRecordValidation.MaxRequestIdLength * 4 }
            && ulong.TryParse(sequence, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            && number is > 0 and <= TeacherRecordValidation.MaxSequence)
            return (Encoding.UTF8.GetString(producer), number);
        return record is not null && UntrustedMessage.TryParse(TeacherRecord.Parser, record, out var parsed)
            && parsed is { ProducerId.Length: > 0 and <= TeacherRecordValidation.MaxRequestIdLength, Sequence: > 0 and <= TeacherRecordValidation.MaxSequence }
                ? (parsed.ProducerId, parsed.Sequence)
                : null;
    }

    private static void RequireFormat(byte[]? format, byte[]? record)
    {
        if (format is not [(byte)'1'])
            throw new ContractException("v", "is missing or is not 1; written by another release?");
        if (record is null)
            throw new ContractException("r", "is missing");
    }
}
