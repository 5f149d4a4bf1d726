using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Models;

/// <summary>Tells loaded versions how old they are by the records' own time, and how near to the teacher the Distiller finds them. Once a second.</summary>
/// <remarks>
/// The newest record of the stream has the time of now, whether events are live or replayed from years ago; it does not need the
/// Distiller, whose absence is just what makes a version old. Fidelity is what the Distiller writes to
/// <see cref="StreamKeys.Fidelity"/>: per version, overlap@10 with the teacher on records the version has not learned.
/// </remarks>
public sealed class ReplayClock(IDatabase redis, string model, ServableSlot slot) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private readonly StreamKeys keys = new(model);

    /// <summary>Event time of the newest teacher record seen, milliseconds since the Unix epoch; 0: none yet.</summary>
    public long NewestEventMs { get; private set; }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
                await LookAsync();
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    /// <summary>Reads both and tells the loaded versions; what Redis does not answer stays as it was.</summary>
    internal async Task LookAsync()
    {
        try
        {
            // The streams the newest version has read: one, or one a shard.
            foreach (var stream in slot.Current?.Manifest.Position.Keys ?? [])
                NewestEventMs = Math.Max(NewestEventMs, (await NewestRecordAsync(stream))?.EventTimeMs ?? 0);
            foreach (var servable in slot.Lineup.Loaded)
            {
                if (NewestEventMs > 0)
                    servable.Health.AgeSeconds = Math.Max(0, (NewestEventMs - servable.Manifest.WatermarkMs) / 1000.0);
                servable.Health.Fidelity = (double?)await redis.HashGetAsync(keys.Fidelity, servable.Version) ?? servable.Health.Fidelity;
            }
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            // Said by the announcement feed, which waits for the same Redis.
        }
    }

    private async Task<TeacherRecord?> NewestRecordAsync(string stream)
    {
        var entries = (RedisResult[])(await redis.ExecuteAsync("XREVRANGE", (RedisKey)stream, "+", "-", "COUNT", 1))!;
        return entries.Length == 0 ? null : LogitEntry.TryRead((RedisResult[])((RedisResult[])entries[0]!)[1]!);
    }
}
