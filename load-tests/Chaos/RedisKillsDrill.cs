using System.Diagnostics;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary><c>--only redis-kills</c>: Redis is killed while a producer writes as fast as it can; what was acknowledged must be in the stream after it.</summary>
/// <remarks>A kill of the process, not of the machine: the kernel's cache survives it. See ADR 18.</remarks>
internal static class RedisKillsDrill
{
    private const double LongestLifeSeconds = 0.4;
    private const int PageEntries = 1000;

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        await using var system = new ChaosSystem(folder, student, withDisk: false);
        await system.StartRedisAsync(cancellation);
        var (own, theirs) = (system.Connect(), system.ConnectProducer());
        using var stopProducing = new CancellationTokenSource();
        // Nobody reads: a writer that keeps to a bound would wait for ever once it is reached.
        var producer = new ChaosProducer(theirs.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, poisonShare: 0,
            new() { MaxStreamLength = long.MaxValue, MaxStreamBytes = null });
        var producing = Task.Run(() => producer.RunAsync(100_000, stopProducing.Token), CancellationToken.None);
        try
        {
            var random = new Random(options.Seed);
            for (var kill = 1; kill <= count; kill++)
            {
                // A kill of a server that nobody writes to would prove nothing.
                for (var before = producer.Acknowledged; producer.Acknowledged == before;)
                    await Task.Delay(5, cancellation);
                await Task.Delay(TimeSpan.FromSeconds(LongestLifeSeconds * random.NextDouble()), cancellation);
                await system.KillAsync("redis");
                await system.StartRedisAsync(cancellation);
                if (kill % 50 == 0 || kill == count)
                    options.Say($"{clock.Elapsed:mm\\:ss} {kill} kills, {producer.Acknowledged:N0} records acknowledged, {producer.Retries} appends repeated");
            }
            await stopProducing.CancelAsync();
            await producing;
            var held = await SequencesAsync(own.GetDatabase(), student);
            var lost = Enumerable.Range(1, (int)producer.Acknowledged).LongCount(s => !held.ContainsKey((ulong)s));
            return new()
            {
                Seed = options.Seed,
                Only = options.Only,
                Kills = new(0, 0, count),
                Records = new(producer.Acknowledged, 0, lost, 0, 0),
                Figures = new Dictionary<string, double> { ["appends_repeated"] = producer.Retries, ["stream_repeats"] = held.Values.Sum(n => n - 1) },
                Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
                Broken = [.. system.UnexpectedEnds, .. lost == 0 ? (string[])[] : [$"{lost} acknowledged records are not in the stream"]],
            };
        }
        finally
        {
            await stopProducing.CancelAsync();
            foreach (var connection in (ConnectionMultiplexer[])[own, theirs])
                connection.Close(allowCommandsToComplete: false);
        }
    }

    // What the server itself holds, page by page: sequence and how often.
    private static async Task<Dictionary<ulong, int>> SequencesAsync(IDatabase redis, ChaosStudent student)
    {
        var held = new Dictionary<ulong, int>();
        var reader = new LogitStreamReader(redis, student.Model, student.Schema);
        var position = StreamId.Zero;
        while (await reader.ReadAsync(position, PageEntries) is { Count: > 0 } page)
        {
            foreach (var entry in page)
                held[entry.Record!.Sequence] = held.GetValueOrDefault(entry.Record.Sequence) + 1;
            position = page[^1].Id;
        }
        return held;
    }
}
