using Google.Protobuf;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>How a <see cref="TeacherRecord"/> lies in a stream entry: field <c>v</c> = format (1), field <c>r</c> = the protobuf.</summary>
public static class LogitEntry
{
    public const int Format = 1;

    public static readonly RedisValue FormatField = "v";
    public static readonly RedisValue RecordField = "r";

    /// <summary>Reads and validates an entry.</summary>
    /// <exception cref="ContractException">The entry is not a valid record of this schema.</exception>
    public static TeacherRecord Parse(byte[]? format, byte[]? record, FeatureSchema schema)
    {
        if (format is not [(byte)'1'])
            throw new ContractException("v", "is missing or is not 1; written by another release?");
        if (record is null)
            throw new ContractException("r", "is missing");
        TeacherRecord parsed;
        try
        {
            parsed = TeacherRecord.Parser.ParseFrom(record);
        }
        catch (InvalidProtocolBufferException)
        {
            throw new ContractException("r", "is not a TeacherRecord");
        }
        TeacherRecordValidation.Require(parsed, schema);
        return parsed;
    }
}
