using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Control.Commands;

/// <summary>What the teacher said of a request: its logits for the first target, and the order they make.</summary>
internal sealed class TeacherVerdict
{
    private const int Page = 64;
    // The teacher scores an impression some time before or after it was ranked here.
    private static readonly TimeSpan Before = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan After = TimeSpan.FromMinutes(10);

    private readonly IReadOnlyList<float> logits;
    private readonly int[] ranks;

    private TeacherVerdict(TeacherOutput output)
    {
        (Name, Version, Target, logits) = (output.Teacher, output.TeacherVersion, output.Target, output.Logits);
        ranks = new int[logits.Count];
        var place = 1;
        foreach (var n in Enumerable.Range(0, ranks.Length).OrderByDescending(n => logits[n]))
            ranks[n] = place++;
    }

    public string Name { get; }

    public long Version { get; }

    public string Target { get; }

    /// <summary>Of a candidate of the request; null when the teacher did not score it.</summary>
    public (float Logit, int Rank)? Of(int candidate) => candidate < ranks.Length ? (logits[candidate], ranks[candidate]) : null;

    /// <summary>Looks for the record of a request among those written about the time it was answered.</summary>
    public static TeacherVerdict? Find(IDatabase redis, string model, string requestId, long answeredAtMs)
    {
        var from = $"{Math.Max(0, answeredAtMs - (long)Before.TotalMilliseconds)}-0";
        var to = $"{answeredAtMs + (long)After.TotalMilliseconds}";
        while (true)
        {
            var entries = (RedisResult[])redis.Execute("XRANGE", new StreamKeys(model).Logits, from, to, "COUNT", Page)!;
            foreach (var entry in entries)
            {
                if (LogitEntry.TryRead((RedisResult[])((RedisResult[])entry!)[1]!) is { } record && record.RequestId == requestId && record.Outputs.Count > 0)
                    return new(record.Outputs[0]);
            }
            if (entries.Length < Page)
                return null;
            var last = StreamId.Parse((string)((RedisResult[])entries[^1]!)[0]!);
            from = (last with { Number = last.Number + 1 }).ToString();
        }
    }
}
