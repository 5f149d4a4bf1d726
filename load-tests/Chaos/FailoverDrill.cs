using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only failover</c>: the primary dies with records it has acknowledged and not replicated, and its replica takes its place. Those are lost, and the
/// Distiller must say how many: exactly those that it has not learned.
/// </summary>
internal static class FailoverDrill
{
    // Cut off for so long before its end; in every other failover the Distiller is cut off as well, so that it has not read them either.
    private const double MaxLagSeconds = 0.5;
    private const double WorkSeconds = 0.5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        await using var system = new ChaosSystem(folder, student, withDisk: false);
        await using var pair = new RedisPair(system);
        await pair.StartAsync(cancellation);
        await using var watch = new RepositoryWatch(new(system.Repository), student.Model, TimeSpan.FromMilliseconds(20));
        using var connection = system.ConnectProducer();
        using var stopProducing = new CancellationTokenSource();
        var producer = new ChaosProducer(connection.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, poisonShare: 0);
        var producing = Task.Run(() => producer.RunAsync(options.RecordRate, stopProducing.Token), CancellationToken.None);
        try
        {
            var random = new Random(options.Seed);
            system.StartDistiller();
            for (var failover = 1; failover <= count; failover++)
            {
                await pair.ReplicateAsync(cancellation);
                await LearnsAsync(system, pair, student, cancellation);
                await Task.Delay(TimeSpan.FromSeconds(WorkSeconds * random.NextDouble()), cancellation);
                pair.Replication!.Set(LinkFault.HalfOpen);
                if (failover % 2 == 1)
                    system.DistillerLink.Set(LinkFault.HalfOpen);
                await Task.Delay(TimeSpan.FromSeconds(MaxLagSeconds * (0.2 + 0.8 * random.NextDouble())), cancellation);
                await pair.FailOverAsync(cancellation);
                if (failover % 10 == 0 || failover == count)
                    options.Say(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed:mm\\:ss} {failover} failovers, {producer.Acknowledged:N0} records acknowledged, {system.Distiller.Count("missing")} reported missing"));
            }
            await LearnsAsync(system, pair, student, cancellation);
            await stopProducing.CancelAsync();
            await producing;
            var last = await ToTheEndAsync(system, pair, student, producer, cancellation);
            await CleanStop.RunAsync(system, Key(student), () => Task.FromResult(last), Patience, cancellation);
            watch.LookOnce();
            return Account(options, count, clock, system, pair, student, producer, watch);
        }
        finally
        {
            await stopProducing.CancelAsync();
            await producing;
            connection.Close(allowCommandsToComplete: false);
        }
    }

    private static ChaosReport Account(ChaosOptions options, int count, Stopwatch clock, ChaosSystem system, RedisPair pair, ChaosStudent student, ChaosProducer producer,
        RepositoryWatch watch)
    {
        var files = pair.Files();
        var checkpoint = UndisturbedRun.Newest(system.State).Manifest;
        var account = new FailoverAccount(files, Key(student), JournalAccount.Ranges(files.SelectMany(f => f).DistinctBy(e => (e.Key, e.Id)), student.Model, Key(student), checkpoint));
        var lost = account.Lost(producer.Acknowledged);
        var reported = system.Distiller.Count("missing");
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Kills = new(0, 0, count),
            Records = new(producer.Acknowledged, producer.Acknowledged - lost, lost, account.Twice, 0),
            Versions = new(watch.Whole.Count, watch.Partial.Count, 0),
            Figures = new Dictionary<string, double>
            {
                ["failovers"] = count,
                ["entries_not_replicated"] = account.NotReplicated,
                ["lost"] = lost,
                ["reported_missing"] = reported,
                ["appends_repeated"] = producer.Retries,
            },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken =
            [
                .. system.UnexpectedEnds, .. watch.Partial.Select(p => $"version {p.Key} was seen in part: {p.Value}"), .. watch.Disorder, .. watch.Changed(),
                .. reported == lost ? (string[])[] : [$"{lost} records were lost, {reported} are reported"],
                .. account.Twice == 0 ? (string[])[] : [$"{account.Twice} entries are in two batches"],
                .. account.Unexplained == 0 ? (string[])[] : [$"{account.Unexplained} entries of a batch are in no server's file, or the other way round"],
            ],
        };
    }

    // A batch of the server that is the primary now.
    private static async Task LearnsAsync(ChaosSystem system, RedisPair pair, ChaosStudent student, CancellationToken cancellation)
    {
        var before = await JournalAccount.LastAsync(pair.Redis, student.Model, Key(student));
        await system.UntilAsync(async () => await JournalAccount.LastAsync(pair.Redis, student.Model, Key(student)) is { } last && (before is null || last > before),
            Patience, "the Distiller to learn from the new primary", cancellation);
    }

    // Batches are cut by count, and what the Distiller has read of a dead primary nobody else knows: one record after the other, until the last one is in a batch.
    // Returns where that is.
    private static async Task<string> ToTheEndAsync(ChaosSystem system, RedisPair pair, ChaosStudent student, ChaosProducer producer, CancellationToken cancellation)
    {
        for (var n = 0; n <= student.BatchRecords; n++)
        {
            var reader = new LogitStreamReader(pair.Redis, student.Model, student.Schema);
            for (var look = 0; look < 20; look++)
            {
                if (await JournalAccount.LastAsync(pair.Redis, student.Model, Key(student)) is { } last && (await reader.ReadAsync(last, 1)).Count == 0)
                    return last.ToString();
                await Task.Delay(50, cancellation);
            }
            await producer.WriteSoundAsync();
        }
        throw new DemoException($"the Distiller has not come to the end of the stream; see the logs in {system.Folder.Logs}");
    }

    private static string Key(ChaosStudent student) => (string)new StreamKeys(student.Model).Logits!;
}
