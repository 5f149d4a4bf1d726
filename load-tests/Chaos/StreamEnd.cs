using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>Where the stream of a run ends, once nobody writes to it any more but the harness: with a whole batch.</summary>
internal sealed class StreamEnd(IDatabase redis, ChaosStudent student, ChaosProducer producer)
{
    private readonly LogitStreamReader reader = new(redis, student.Model, student.Schema);

    public string Key => reader.StreamKey;

    /// <summary>Id of the last entry. Asked again, it may be another: an append that a fault held up can arrive late, and the batch is filled up again.</summary>
    public async Task<string> LastAsync()
    {
        await producer.PadAsync(reader.AddedAsync, student.BatchRecords);
        var info = (RedisResult[])(await redis.ExecuteAsync("XINFO", "STREAM", Key))!;
        return (string)info[Array.FindIndex(info, i => (string?)i == "last-generated-id") + 1]!;
    }
}
