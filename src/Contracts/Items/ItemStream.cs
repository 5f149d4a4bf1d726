using System.Text;
using Google.Protobuf;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>One entry of the item stream: a valid batch, or the reason why not with the bytes it came in.</summary>
public readonly record struct ItemStreamEntry(StreamId Id, ItemBatch? Batch, ContractException? Fault, byte[]? Bytes);

/// <summary>The stream items enter and leave a model's catalogs by. Every server reads all of it, from a position of its own.</summary>
/// <remarks>
/// Any thread; await an append before the next when their order matters.
/// <code>
/// await items.AppendAsync(batch, schema);                       // whoever knows the items
/// foreach (var entry in await items.ReadAsync(position, 64, schema)) …   // a server
/// </code>
/// The stream is the log a server without a snapshot starts from: trim it only after every item has been put again.
/// </remarks>
public sealed class ItemStream(IDatabase redis, string model)
{
    private const int KeptDeadLetters = 10_000;
    private readonly StreamKeys keys = new(model);

    /// <summary>Appends a batch; returns its id when Redis has it.</summary>
    /// <exception cref="ContractException">The batch breaks the schema; it has not been written.</exception>
    /// <exception cref="RedisException">Redis is away or full; the batch may or may not be there. Appending it again is harmless.</exception>
    public async Task<StreamId> AppendAsync(ItemBatch batch, FeatureSchema schema)
    {
        batch.SchemaFingerprint = schema.Fingerprint;
        ItemBatchValidation.Require(batch, schema);
        var id = await redis.ExecuteAsync("XADD", keys.Items, "*", ItemEntry.FormatField, ItemEntry.Format, ItemEntry.BatchField, batch.ToByteArray());
        return StreamId.Parse((string)id!);
    }

    /// <summary>Up to <paramref name="count"/> entries after <paramref name="position"/>, in order; empty when there are none yet.</summary>
    /// <exception cref="RedisException">Redis is away; call again.</exception>
    public async Task<IReadOnlyList<ItemStreamEntry>> ReadAsync(StreamId position, int count, FeatureSchema schema)
    {
        var reply = await redis.ExecuteAsync("XREAD", "COUNT", count, "STREAMS", keys.Items, position.ToString());
        if (reply.IsNull)
            return [];
        var raw = (RedisResult[])((RedisResult[])((RedisResult[])reply!)[0]!)[1]!;
        return [.. raw.Select(r => Parse((RedisResult[])r!, schema))];
    }

    /// <summary>Entries held and the ids of the first and the last; zero for an empty stream.</summary>
    public async Task<(long Length, StreamId First, StreamId Last)> ExtentAsync()
    {
        var length = (long)await redis.ExecuteAsync("XLEN", keys.Items);
        return (length, await EndAsync("XRANGE", "-", "+"), await EndAsync("XREVRANGE", "+", "-"));
    }

    /// <summary>Keeps an entry that could not be applied, with the reason, for people to look at. Once, however many servers meet it.</summary>
    public async Task DeadLetterAsync(StreamId id, string reason, byte[]? bytes)
    {
        try
        {
            // Under the entry's own id, which Redis takes only once.
            await redis.ExecuteAsync("XADD", keys.DeadItems, "MAXLEN", "~", KeptDeadLetters, id.ToString(), "id", id.ToString(), "reason", reason, "r", (RedisValue)(bytes ?? []));
        }
        catch (RedisServerException e) when (e.Message.Contains("equal or smaller", StringComparison.Ordinal))
        {
            // Another server, or this one before a restart, has written it.
        }
    }

    /// <summary>Dead letters held, and the reason of the newest.</summary>
    public async Task<(long Count, string? Newest)> DeadLettersAsync()
    {
        var count = (long)await redis.ExecuteAsync("XLEN", keys.DeadItems);
        var newest = (RedisResult[])(await redis.ExecuteAsync("XREVRANGE", keys.DeadItems, "+", "-", "COUNT", 1))!;
        if (newest.Length == 0)
            return (count, null);
        var fields = (RedisResult[])((RedisResult[])newest[0]!)[1]!;
        return (count, $"entry {Encoding.UTF8.GetString(Field(fields, "id") ?? [])}: {Encoding.UTF8.GetString(Field(fields, "reason") ?? [])}");
    }

    /// <summary>Removes entries before one; servers that have not read them need every item put again.</summary>
    /// <returns>Entries removed.</returns>
    public async Task<long> TrimAsync(StreamId before) =>
        (long)await redis.ExecuteAsync("XTRIM", keys.Items, "MINID", before.ToString());

    private async Task<StreamId> EndAsync(string command, string from, string to)
    {
        var entries = (RedisResult[])(await redis.ExecuteAsync(command, keys.Items, from, to, "COUNT", 1))!;
        return entries.Length == 0 ? StreamId.Zero : StreamId.Parse((string)((RedisResult[])entries[0]!)[0]!);
    }

    private static ItemStreamEntry Parse(RedisResult[] entry, FeatureSchema schema)
    {
        var id = StreamId.Parse((string)entry[0]!);
        var fields = (RedisResult[])entry[1]!;
        var bytes = Field(fields, (string)ItemEntry.BatchField!);
        try
        {
            return new(id, ItemEntry.Parse(Field(fields, (string)ItemEntry.FormatField!), bytes, schema), null, bytes);
        }
        catch (ContractException e)
        {
            return new(id, null, e, bytes);
        }
    }

    private static byte[]? Field(RedisResult[] fields, string name)
    {
        for (var i = 0; i + 1 < fields.Length; i += 2)
        {
            if ((string?)fields[i] == name)
                return (byte[]?)fields[i + 1];
        }
        return null;
    }
}
