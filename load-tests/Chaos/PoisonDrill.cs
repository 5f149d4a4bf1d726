using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only poison</c>: two streams of the same length, one of them with 1 % poison, each learned as fast as the Distiller can, in turn. All of the poison
/// must be in the dead-letter stream, and what it costs must be small.
/// </summary>
internal static class PoisonDrill
{
    private const double PoisonShare = 0.01;
    private const int Rounds = 3;
    private const double LeastRatio = 0.95;

    // Below so many entries a round is over before it can be timed.
    private const int LeastJudged = 50_000;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <param name="entries">Length of a stream; it is rounded up to whole batches.</param>
    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int entries, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        entries = (entries + student.BatchRecords - 1) / student.BatchRecords * student.BatchRecords;
        var poison = Shuffled(entries, options.Seed).Take((int)Math.Round(entries * PoisonShare)).ToHashSet();
        var clean = await Variant.MakeAsync("clean", entries, new HashSet<int>(), options, student, folder, cancellation);
        var poisoned = await Variant.MakeAsync("poisoned", entries, poison, options, student, folder, cancellation);
        for (var round = 1; round <= Rounds; round++)
        {
            foreach (var variant in (Variant[])[clean, poisoned])
            {
                await variant.LearnAsync(student, Path.Combine(folder.Root, $"{variant.Name}-{round}"), cancellation);
                options.Say(string.Create(CultureInfo.InvariantCulture,
                    $"{clock.Elapsed:mm\\:ss} {variant.Name}: {variant.RecordsPerSecond[^1]:N0} records learned a second, {variant.Counts.DeadLettered} dead-lettered"));
            }
        }
        var ratio = Median(poisoned.RecordsPerSecond) / Median(clean.RecordsPerSecond);
        var broken = clean.Broken.Concat(poisoned.Broken).ToList();
        if (poisoned.Counts.DeadLettered != poison.Count)
            broken.Add($"{poisoned.Counts.DeadLettered} of {poison.Count} poison entries are in the dead-letter stream");
        if (entries >= LeastJudged && ratio < LeastRatio)
            broken.Add(string.Create(CultureInfo.InvariantCulture, $"{PoisonShare:P0} poison leaves {ratio:F3} of the throughput, less than {LeastRatio}"));
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Records = poisoned.Counts,
            Versions = new(0, 0, 0),
            Figures = new Dictionary<string, double>
            {
                ["poison_entries"] = poison.Count,
                ["rounds"] = Rounds,
                ["clean_records_per_second"] = Math.Round(Median(clean.RecordsPerSecond)),
                ["poisoned_records_per_second"] = Math.Round(Median(poisoned.RecordsPerSecond)),
                ["throughput_ratio"] = Math.Round(ratio, 3),
            },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = broken,
        };
    }

    private static int[] Shuffled(int count, int seed)
    {
        var numbers = Enumerable.Range(0, count).ToArray();
        new Random(seed).Shuffle(numbers);
        return numbers;
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(Rounds / 2);

    // A stream, made once and learned again and again.
    private sealed class Variant(string name, ChaosProducer producer, IReadOnlyList<AofEntry> stream)
    {
        private readonly HashSet<string> weights = [];

        public string Name => name;

        /// <summary>Sound records learned in a second, by round.</summary>
        public List<double> RecordsPerSecond { get; } = [];

        public List<string> Broken { get; } = [];

        /// <summary>Of the last round.</summary>
        public ChaosReport.RecordCounts Counts { get; private set; } = new(0, 0, 0, 0, 0);

        public static async Task<Variant> MakeAsync(string name, int entries, IReadOnlySet<int> poison, ChaosOptions options, ChaosStudent student, DemoFolder parent,
            CancellationToken cancellation)
        {
            using var folder = new DemoFolder(Path.Combine(parent.Root, name));
            await using var system = Fast(folder, student);
            await system.StartRedisAsync(cancellation);
            var connection = system.Connect();
            var producer = new ChaosProducer(connection.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, PoisonShare,
                new() { MaxStreamLength = long.MaxValue, MaxStreamBytes = null });
            await producer.WriteAsync(entries, poison);
            connection.Close(allowCommandsToComplete: false);
            await system.StopInOrderAsync("redis", Patience);
            return new(name, producer, [.. AppendOnlyFile.Entries(system.RedisFolder)]);
        }

        public async Task LearnAsync(ChaosStudent student, string path, CancellationToken cancellation)
        {
            using var folder = new DemoFolder(path);
            await using var system = Fast(folder, student);
            await system.StartRedisAsync(cancellation);
            var connection = system.Connect();
            try
            {
                var redis = connection.GetDatabase();
                await UndisturbedRun.FillAsync(redis, stream);
                system.StartDistiller();
                var (key, end) = (stream[0].Key, stream[^1].Id);
                StreamId? reached = null, before = null;
                await UntilAsync(() => reached is not null);
                // From the first batch on: a start is no work.
                (before, var since) = (reached, Stopwatch.StartNew());
                await UntilAsync(() => reached >= end);
                var seconds = since.Elapsed.TotalSeconds;
                var learned = stream.Count(e => e.Id > before!.Value && e[ChaosProducer.PoisonField] is null);
                RecordsPerSecond.Add(learned / seconds);
                // The journal is ahead of what is learned.
                await CleanStop.RunAsync(system, key, () => Task.FromResult(end.ToString()), Patience, cancellation);
                var closed = await new StreamAccount(system, student, redis).CloseAsync(producer);
                Counts = closed.Counts;
                Broken.AddRange(closed.Broken.Concat(system.UnexpectedEnds).Select(b => $"{name}: {b}"));
                if (weights.Add(UndisturbedRun.StateHash(system.State)) && weights.Count > 1)
                    Broken.Add($"{name}: the same stream gave other weights");

                Task UntilAsync(Func<bool> condition) => system.UntilAsync(async () =>
                {
                    reached = await JournalAccount.LastAsync(redis, student.Model, key);
                    return condition();
                }, Patience, $"the {name} stream to be learned", cancellation);
            }
            finally
            {
                connection.Close(allowCommandsToComplete: false);
            }
        }

        // Throughput as a person would have it: no flush for each command.
        private static ChaosSystem Fast(DemoFolder folder, ChaosStudent student) =>
            new(folder, student, withDisk: false) { RedisOptions = ["--appendfsync", "everysec"] };
    }
}
