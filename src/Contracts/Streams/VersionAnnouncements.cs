using System.Globalization;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>Durable news of a model: versions published by the Distiller, versions taken into service by servers.</summary>
public sealed class VersionAnnouncements(IDatabase redis, string model)
{
    private const int KeptEntries = 10_000;
    private readonly StreamKeys keys = new(model);

    /// <summary>Says that a version is in the repository.</summary>
    public Task PublishedAsync(long version) =>
        redis.ExecuteAsync("XADD", keys.Versions, "MAXLEN", "~", KeptEntries, "*", "version", version);

    /// <summary>Says that a server now ranks with a version.</summary>
    public Task ServedAsync(long version, string server) =>
        redis.ExecuteAsync("XADD", keys.Swaps, "MAXLEN", "~", KeptEntries, "*", "version", version, "server", server);

    /// <summary>The newest version announced; null when none was.</summary>
    public Task<(StreamId Id, long Version)?> NewestPublishedAsync() => NewestAsync(keys.Versions);

    /// <summary>The version a server took into service last; null when none did.</summary>
    public Task<(StreamId Id, long Version)?> NewestServedAsync() => NewestAsync(keys.Swaps);

    private async Task<(StreamId, long)?> NewestAsync(RedisKey key)
    {
        var entries = (RedisResult[])(await redis.ExecuteAsync("XREVRANGE", key, "+", "-", "COUNT", 1))!;
        if (entries.Length == 0)
            return null;
        var entry = (RedisResult[])entries[0]!;
        var fields = (RedisResult[])entry[1]!;
        for (var i = 0; i + 1 < fields.Length; i += 2)
        {
            if ((string?)fields[i] == "version" && long.TryParse((string?)fields[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                return (StreamId.Parse((string)entry[0]!), version);
        }
        return null;
    }
}
