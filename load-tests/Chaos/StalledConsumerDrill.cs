using System.Globalization;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only stalled-consumer</c>: the Distiller stands still (SIGSTOP) under a producer that writes as fast as it can; the stream fills up to its bound,
/// the producer waits, Redis stays within its memory, and in the end every record is learned.
/// </summary>
/// <remarks>
/// Scaled down: from the moment the producer waits nothing changes any more, so that the rest of ten minutes is left out, and the bound is
/// <see cref="StreamBytes"/> where a writer's own is 1 GiB.
/// </remarks>
internal static class StalledConsumerDrill
{
    private const long StreamBytes = 8L << 20;

    // Redis refuses above it, and a writer that is refused repeats: that must never happen. An empty server, twice the bytes of the records, connections.
    private const long RedisBytes = 4 * StreamBytes;
    private const double WritesASecond = 100_000;
    private static readonly TimeSpan FullPatience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan Stall = TimeSpan.FromSeconds(3);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        await using var run = await LearningRun.StartAsync(options with { RecordRate = WritesASecond }, (folder, student) => new(folder, student, withDisk: false)
        {
            RedisOptions = ["--maxmemory", RedisBytes.ToString(CultureInfo.InvariantCulture), "--maxmemory-policy", "noeviction", "--appendfsync", "everysec"],
        }, cancellation, new() { MaxStreamBytes = StreamBytes });
        var (system, producer) = (run.System, run.Producer);
        var peak = 0L;
        system.StartDistiller();
        for (var stall = 1; stall <= count; stall++)
        {
            await run.TrainsAsync(cancellation);
            system.Stop("distiller");
            // What was full before may have been so from the last time.
            var waits = producer.Waits;
            await system.UntilAsync(async () => await LookAsync() && producer.Waits > waits + 1, FullPatience, "the producer to wait", cancellation);
            var written = producer.Acknowledged;
            for (var clock = System.Diagnostics.Stopwatch.StartNew(); clock.Elapsed < Stall; await Task.Delay(50, cancellation))
                await LookAsync();
            if (producer.Acknowledged > written)
                throw new Demo.DemoException($"the producer wrote {producer.Acknowledged - written} records into a full stream");
            system.Continue("distiller");
            await system.UntilAsync(async () => await LookAsync() && producer.Acknowledged > written, FullPatience, "the producer to write on", cancellation);
            run.Say($"{stall} stalls, {producer.Acknowledged:N0} records, {producer.Waits} waits, {peak >> 20} MiB at most in Redis");
        }
        var report = await run.CloseAsync(cancellation);
        return report with
        {
            Pauses = count,
            Figures = new Dictionary<string, double>(report.Figures)
            {
                ["stream_bound_bytes"] = StreamBytes,
                ["redis_bound_bytes"] = RedisBytes,
                ["redis_peak_bytes"] = peak,
                ["producer_waits"] = producer.Waits,
                ["appends_repeated"] = producer.Retries,
            },
            Broken =
            [
                .. report.Broken,
                .. peak > RedisBytes ? (string[])[$"Redis took {peak:N0} bytes, more than {RedisBytes:N0}"] : [],
                .. producer.Retries > 0 ? (string[])[$"{producer.Retries} appends were refused or repeated though the writer keeps the bound"] : [],
            ],
        };

        async Task<bool> LookAsync()
        {
            var info = (string)(await run.Redis.ExecuteAsync("INFO", "memory"))!;
            var line = info.Split('\n').First(l => l.StartsWith("used_memory:", StringComparison.Ordinal));
            peak = Math.Max(peak, long.Parse(line.AsSpan("used_memory:".Length).Trim(), CultureInfo.InvariantCulture));
            return true;
        }
    }
}
