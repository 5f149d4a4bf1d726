using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>One entry read: a valid record, or the reason why not.</summary>
public readonly record struct LogitStreamEntry(StreamId Id, TeacherRecord? Record, ContractException? Fault);

/// <summary>Reads the logit stream from a position its caller owns (the checkpoint); keeps none of its own.</summary>
public sealed class LogitStreamReader(IDatabase redis, string model, FeatureSchema schema)
{
    private readonly StreamKeys keys = new(model);

    /// <summary>The stream read, as it appears in a version's position vector.</summary>
    public string StreamKey => (string)keys.Logits!;

    /// <summary>Up to <paramref name="count"/> entries after <paramref name="position"/>, in order; empty when there are none yet.</summary>
    /// <exception cref="RedisException">Redis is away; nothing was consumed, call again.</exception>
    public async Task<IReadOnlyList<LogitStreamEntry>> ReadAsync(StreamId position, int count)
    {
        var reply = await redis.ExecuteAsync("XREAD", "COUNT", count, "STREAMS", keys.Logits, position.ToString());
        if (reply.IsNull)
            return [];
        var raw = (RedisResult[])((RedisResult[])((RedisResult[])reply!)[0]!)[1]!;
        var entries = new LogitStreamEntry[raw.Length];
        // Parsing is the costly part; entries are independent of each other.
        for (var i = 0; i < raw.Length; i++)
            entries[i] = Parse((RedisResult[])raw[i]!);
        return entries;
    }

    /// <summary>Id of the last entry written, <see cref="StreamId.Zero"/> for an empty stream, and the number of entries held.</summary>
    public async Task<(StreamId Last, long Length)> TailAsync()
    {
        var length = (long)await redis.ExecuteAsync("XLEN", keys.Logits);
        var reply = await redis.ExecuteAsync("XREVRANGE", keys.Logits, "+", "-", "COUNT", 1);
        var newest = (RedisResult[])reply!;
        return (newest.Length == 0 ? StreamId.Zero : StreamId.Parse((string)((RedisResult[])newest[0]!)[0]!), length);
    }

    /// <summary>Id of the oldest entry still held; null when the stream is empty.</summary>
    public async Task<StreamId?> OldestAsync()
    {
        var oldest = (RedisResult[])(await redis.ExecuteAsync("XRANGE", keys.Logits, "-", "+", "COUNT", 1))!;
        return oldest.Length == 0 ? null : StreamId.Parse((string)((RedisResult[])oldest[0]!)[0]!);
    }

    /// <summary>Copies a faulty entry to the dead-letter stream with its reason. Call before the position moves past it.</summary>
    public async Task DeadLetterAsync(LogitStreamEntry entry)
    {
        var raw = (RedisResult[])(await redis.ExecuteAsync("XRANGE", keys.Logits, entry.Id.ToString(), entry.Id.ToString()))!;
        byte[] bytes = [];
        if (raw.Length > 0 && Field((RedisResult[])((RedisResult[])raw[0]!)[1]!, "r") is { } r)
            bytes = r;
        await redis.ExecuteAsync("XADD", keys.DeadLetters, "MAXLEN", "~", 100_000, "*",
            "id", entry.Id.ToString(), "reason", entry.Fault?.Message ?? "", "r", bytes);
    }

    /// <summary>Frees entries at or before a position that is durable in a checkpoint.</summary>
    public Task TrimAsync(StreamId durable) =>
        redis.ExecuteAsync("XTRIM", keys.Logits, "MINID", "~", durable.ToString());

    /// <summary>
    /// Frees exactly what is at or before a durable position; then how many entries wait, and how many were ever added to the
    /// stream. The growth of the second less what was read since is how far a reader lags.
    /// </summary>
    public async Task<(long Waiting, long Added)> BacklogAsync(StreamId durable)
    {
        await redis.ExecuteAsync("XTRIM", keys.Logits, "MINID", durable.ToString());
        // MINID keeps the entry of that id.
        await redis.ExecuteAsync("XDEL", keys.Logits, durable.ToString());
        return ((long)await redis.ExecuteAsync("XLEN", keys.Logits), await AddedAsync());
    }

    /// <summary>Entries ever added to the stream; 0 while it does not exist.</summary>
    public async Task<long> AddedAsync()
    {
        if (!await redis.KeyExistsAsync(keys.Logits))
            return 0;
        var info = (RedisResult[])(await redis.ExecuteAsync("XINFO", "STREAM", keys.Logits))!;
        for (var i = 0; i + 1 < info.Length; i += 2)
        {
            if ((string?)info[i] == "entries-added")
                return (long)info[i + 1];
        }
        return 0;
    }

    private LogitStreamEntry Parse(RedisResult[] entry)
    {
        var id = StreamId.Parse((string)entry[0]!);
        var fields = (RedisResult[])entry[1]!;
        try
        {
            return new(id, LogitEntry.Parse(Field(fields, "v"), Field(fields, "r"), schema), null);
        }
        catch (ContractException e)
        {
            return new(id, null, e);
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
