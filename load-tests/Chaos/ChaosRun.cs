using System.Diagnostics;
using System.Globalization;
using KdServing.Contracts;
using KdServing.LoadTests.Demo;
using StackExchange.Redis;

namespace KdServing.LoadTests.Chaos;

/// <summary>The whole system under records, ranking requests and a seeded sequence of faults; then the accounts.</summary>
/// <param name="faults">What is done to it, in order; the run ends with the sequence, or when its minutes are over.</param>
internal sealed class ChaosRun(ChaosOptions options, IEnumerable<ScheduledFault> faults)
{
    private const int Candidates = 50;
    private static readonly TimeSpan DrainPatience = TimeSpan.FromMinutes(3);

    // A refresh is due every second; what damage and the gate may cost is some of them.
    private static readonly TimeSpan FreshPatience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(10);

    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly List<string> broken = [];

    public async Task<ChaosReport> RunAsync(CancellationToken cancellation)
    {
        using var folder = new DemoFolder(options.Folder);
        var student = ChaosStudent.Prepare(options.Data, Path.Combine(folder.Root, "config"), options.Seed);
        await using var system = new ChaosSystem(folder, student, withDisk: true);
        if (system.Disk is null)
            Say("no right to mount a small disk: a full and a failing disk are left out (run as root to have them)");
        await system.StartRedisAsync(cancellation);
        system.StartDistiller();
        system.StartServing();

        var (own, theirs) = (system.Connect(), system.ConnectProducer());
        await using var watch = new RepositoryWatch(new(system.Repository), student.Model, LookInterval);
        using var stopProducing = new CancellationTokenSource();
        var producer = new ChaosProducer(theirs.GetDatabase(), student.Schema, student.Model, student.Impressions(), options.Seed, options.PoisonShare);
        var producing = Task.Run(() => producer.RunAsync(options.RecordRate, stopProducing.Token), CancellationToken.None);
        try
        {
            await system.ServesAsync(cancellation);
            await using var traffic = new ChaosTraffic(system.ServingAddress, student, options.Rate, Candidates, system.DeadServing, options.Seed);
            var injector = new FaultInjector(system, student, watch, own.GetDatabase(), new(options.Seed), Say);
            Say($"faults from seed {options.Seed}");
            await HurtAsync(system, injector, traffic, producer, cancellation);

            Say("no more faults; what was written is learned and served");
            await stopProducing.CancelAsync();
            await producing;
            await DrainAsync(system, student, new(own.GetDatabase(), student, producer), cancellation);
            await traffic.StopAsync();
            return await AccountAsync(system, student, watch, producer, traffic, injector, own.GetDatabase(), cancellation);
        }
        finally
        {
            await stopProducing.CancelAsync();
            foreach (var connection in (ConnectionMultiplexer[])[own, theirs])
                connection.Close(allowCommandsToComplete: false);
        }
    }

    private async Task HurtAsync(ChaosSystem system, FaultInjector injector, ChaosTraffic traffic, ChaosProducer producer, CancellationToken cancellation)
    {
        var (began, told) = (Stopwatch.GetTimestamp(), Stopwatch.StartNew());
        foreach (var fault in faults)
        {
            await Task.Delay(TimeSpan.FromSeconds(fault.PauseSeconds), cancellation);
            if (Stopwatch.GetElapsedTime(began).TotalMinutes >= options.Minutes)
                break;
            await system.CheckAsync(cancellation);
            await injector.DoAsync(fault, cancellation);
            if (told.Elapsed < ProgressInterval)
                continue;
            told.Restart();
            var figures = traffic.Figures;
            Say($"{producer.Acknowledged + producer.Poisoned:N0} records acknowledged, {figures.Requests:N0} requests, {traffic.Failed} failed, "
                + $"{traffic.FailedWhileServingWasDead} while Serving was dead, newest version {figures.Versions.LastOrDefault()?.Version ?? 0}");
        }
        broken.AddRange(injector.Broken);
    }

    private async Task DrainAsync(ChaosSystem system, ChaosStudent student, StreamEnd end, CancellationToken cancellation)
    {
        var healedMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        if (!await CleanStop.RunAsync(system, end.Key, end.LastAsync, DrainPatience, cancellation))
            broken.Add("the Distiller did not stop in order");
        var repository = new ModelRepository(system.Repository);
        var newest = repository.Versions(student.Model)[^1];
        if (repository.Versions(student.Model).Reverse().Select(v => repository.TryManifest(student.Model, v)).FirstOrDefault(m => m is not null)?.CreatedAtMs < healedMs - FreshPatience.TotalMilliseconds)
            broken.Add($"no version was published within {FreshPatience.TotalSeconds:F0} s of the end");
        // The last version is served before the accounts are closed.
        var refused = newest.ToString(CultureInfo.InvariantCulture);
        await system.UntilAsync(async () => await system.ServingStatusAsync() is var s && (s.Count("version") >= newest || s["versions_refused", refused] is not null),
            DrainPatience, $"version {newest} to be served", cancellation);
    }

    private async Task<ChaosReport> AccountAsync(ChaosSystem system, ChaosStudent student, RepositoryWatch watch, ChaosProducer producer,
        ChaosTraffic traffic, FaultInjector injector, IDatabase redis, CancellationToken cancellation)
    {
        watch.LookOnce();
        var records = await new StreamAccount(system, student, redis).CloseAsync(producer);
        Require(records.Broken);
        Say("the same stream, undisturbed");
        var hash = UndisturbedRun.StateHash(system.State);
        var expected = await UndisturbedRun.HashAsync(records.Stream, student, Path.Combine(system.Folder.Root, "undisturbed"), cancellation);
        var served = traffic.Figures.Versions.Select(v => v.Version).Where(watch.IsPlanted).ToArray();
        if (hash != expected)
            broken.Add($"weights {hash[..12]}… differ from those of the undisturbed run, {expected[..12]}…");
        if (traffic.Failed > 0)
            broken.Add($"{traffic.Failed} ranking requests failed: {traffic.Reasons}");
        if (served.Length > 0)
            broken.Add($"mutants answered requests: versions {string.Join(", ", served)}");
        Require(watch.Partial.Select(p => $"version {p.Key} was seen in part: {p.Value}"));
        Require(system.UnexpectedEnds);
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Kills = new(injector.Count(Fault.KillDistiller), injector.Count(Fault.KillServing), injector.Count(Fault.KillRedis)),
            Pauses = injector.Count(Fault.PauseDistiller),
            Partitions = injector.Count(Fault.DelayRedis, Fault.ResetRedis, Fault.HalfOpenRedis, Fault.LoseReplies),
            DiskFaults = injector.Count(Fault.FillDisk, Fault.RefuseWrites),
            Records = records.Counts,
            Requests = new(traffic.Figures.Requests, traffic.Failed, traffic.FailedWhileServingWasDead),
            Versions = new(watch.Whole.Count, watch.Partial.Count, injector.MutantsRefused),
            WeightsEqualUnkilledRun = hash == expected,
            Figures = new Dictionary<string, double> { ["client_retries"] = traffic.Retries, ["stream_repeats"] = records.Repeats },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = broken,
        };
    }

    private void Require(IEnumerable<string> faults) => broken.AddRange(faults);

    private void Say(string message) => options.Say(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed:mm\\:ss} {message}"));
}
