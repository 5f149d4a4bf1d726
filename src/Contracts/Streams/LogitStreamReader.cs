using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>One entry read: a valid record, or the reason why not.</summary>
/// <param name="Record">A teacher's record; null in an entry of the labels' stream.</param>
/// <param name="Fault">Why the entry can not be learned from; null when it can.</param>
/// <param name="Labels">Labels of an earlier record; null in an entry of a logit stream.</param>
public readonly record struct LogitStreamEntry(StreamId Id, TeacherRecord? Record, ContractException? Fault, LabelRecord? Labels = null)
{
    /// <summary>The bytes as they were written; empty when the entry had none.</summary>
    public ReadOnlyMemory<byte> Raw { get; init; }

    /// <summary>Who wrote an entry that has a fault, as far as it can be told.</summary>
    public (string Producer, ulong Sequence)? Origin { get; init; }
}

/// <summary>Reads one stream of a model from a position its caller owns (the checkpoint); keeps none of its own.</summary>
public sealed class LogitStreamReader
{
    private readonly IDatabase redis;
    private readonly FeatureSchema schema;
    private readonly RedisKey key;
    private readonly bool isLabels;

    /// <summary>Reads the logit stream of a model that has one.</summary>
    public LogitStreamReader(IDatabase redis, string model, FeatureSchema schema) : this(redis, new StreamKeys(model).Logits, schema)
    {
    }

    /// <summary>Reads one shard, or the stream of labels.</summary>
    /// <param name="key">One of <see cref="StreamKeys.LogitShards"/>, or <see cref="StreamKeys.Labels"/>.</param>
    public LogitStreamReader(IDatabase redis, RedisKey key, FeatureSchema schema, bool isLabels = false) =>
        (this.redis, this.key, this.schema, this.isLabels) = (redis, key, schema, isLabels);

    /// <summary>The stream read, as it appears in a version's position vector.</summary>
    public string StreamKey => (string)key!;

    /// <summary>The stream holds labels, not teacher records.</summary>
    public bool IsLabels => isLabels;

    /// <summary>Up to <paramref name="count"/> entries after <paramref name="position"/>, in order; empty when there are none yet.</summary>
    /// <exception cref="RedisException">Redis is away; nothing was consumed, call again.</exception>
    public async Task<IReadOnlyList<LogitStreamEntry>> ReadAsync(StreamId position, int count)
    {
        var reply = await redis.ExecuteAsync("XREAD", "COUNT", count, "STREAMS", key, position.ToString());
        return reply.IsNull ? [] : ParseAll((RedisResult[])((RedisResult[])((RedisResult[])reply!)[0]!)[1]!);
    }

    /// <summary>The entries after one id up to another, in order; those that were trimmed are not among them.</summary>
    /// <exception cref="RedisException">Redis is away; call again.</exception>
    public async Task<IReadOnlyList<LogitStreamEntry>> ReadRangeAsync(StreamId after, StreamId last) =>
        ParseAll((RedisResult[])(await redis.ExecuteAsync("XRANGE", key, $"({after}", last.ToString()))!);

    /// <summary>Reads an entry from the bytes of its record.</summary>
    public LogitStreamEntry Parse(StreamId id, byte[] record) => Parse(id, "1"u8.ToArray(), record, null, null);

    /// <summary>Id of the last entry written, <see cref="StreamId.Zero"/> for an empty stream, and the number of entries held.</summary>
    public async Task<(StreamId Last, long Length)> TailAsync()
    {
        var length = (long)await redis.ExecuteAsync("XLEN", key);
        var reply = await redis.ExecuteAsync("XREVRANGE", key, "+", "-", "COUNT", 1);
        var newest = (RedisResult[])reply!;
        return (newest.Length == 0 ? StreamId.Zero : StreamId.Parse((string)((RedisResult[])newest[0]!)[0]!), length);
    }

    /// <summary>Id of the oldest entry still held; null when the stream is empty.</summary>
    public async Task<StreamId?> OldestAsync()
    {
        var oldest = (RedisResult[])(await redis.ExecuteAsync("XRANGE", key, "-", "+", "COUNT", 1))!;
        return oldest.Length == 0 ? null : StreamId.Parse((string)((RedisResult[])oldest[0]!)[0]!);
    }

    /// <summary>Entries held, and entries ever added to the stream; zeros while it does not exist.</summary>
    public async Task<(long Held, long Added)> CountsAsync()
    {
        if (!await redis.KeyExistsAsync(key))
            return default;
        var info = (RedisResult[])(await redis.ExecuteAsync("XINFO", "STREAM", key))!;
        var (held, added) = (0L, 0L);
        for (var i = 0; i + 1 < info.Length; i += 2)
        {
            switch ((string?)info[i])
            {
                case "length":
                    held = (long)info[i + 1];
                    break;
                case "entries-added":
                    added = (long)info[i + 1];
                    break;
            }
        }
        return (held, added);
    }

    /// <summary>Entries ever added to the stream; 0 while it does not exist.</summary>
    public async Task<long> AddedAsync() => (await CountsAsync()).Added;

    private LogitStreamEntry[] ParseAll(RedisResult[] raw)
    {
        var entries = new LogitStreamEntry[raw.Length];
        for (var i = 0; i < raw.Length; i++)
        {
            var entry = (RedisResult[])raw[i]!;
            var fields = (RedisResult[])entry[1]!;
            entries[i] = Parse(StreamId.Parse((string)entry[0]!), Field(fields, "v"), Field(fields, "r"), Field(fields, "p"), Field(fields, "s"));
        }
        return entries;
    }

    private LogitStreamEntry Parse(StreamId id, byte[]? format, byte[]? record, byte[]? producer, byte[]? sequence)
    {
        try
        {
            return isLabels
                ? new(id, null, null, LogitEntry.ParseLabels(format, record, schema)) { Raw = record }
                : new(id, LogitEntry.Parse(format, record, schema), null) { Raw = record };
        }
        catch (ContractException e)
        {
            return new(id, null, e) { Raw = record, Origin = isLabels ? null : LogitEntry.Origin(record, producer, sequence) };
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
