using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>How an <see cref="ItemBatch"/> lies in a stream entry: field <c>v</c> = format (1), field <c>r</c> = the protobuf.</summary>
public static class ItemEntry
{
    public const int Format = 1;

    public static readonly RedisValue FormatField = "v";
    public static readonly RedisValue BatchField = "r";

    /// <summary>Reads and validates an entry.</summary>
    /// <exception cref="ContractException">The entry is not a valid batch of this schema.</exception>
    public static ItemBatch Parse(byte[]? format, byte[]? batch, FeatureSchema schema)
    {
        if (format is not [(byte)'1'])
            throw new ContractException("v", "is missing or is not 1; written by another release?");
        if (batch is null)
            throw new ContractException("r", "is missing");
        if (!UntrustedMessage.TryParse(ItemBatch.Parser, batch, out var parsed))
            throw new ContractException("r", "is not an ItemBatch");
        ItemBatchValidation.Require(parsed, schema);
        return parsed;
    }
}
