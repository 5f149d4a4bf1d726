using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only power-loss</c>: the power of the disks under Redis and under the Distiller goes at a random moment; what was not flushed is gone. Then
/// Redis by itself with <c>everysec</c>, where acknowledged records may be lost: how many are.
/// </summary>
/// <remarks>
/// Two disks: a flush of one file commits the whole journal of an ext4, so that on one disk Redis' flushes would hide what the Distiller forgets.
/// They go one just after the other, either one first: nobody can tell, for whatever the other still does is what it could have done before.
/// </remarks>
internal static class PowerLossDrill
{
    private const double StartShare = 0.25;
    private const double StartSeconds = 2;
    private const double WorkSeconds = 1.5;

    // Of the cuts, so many again with everysec.
    private const int EverySecondShare = 5;

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        if (!PowerDisk.IsPossible)
            throw new DemoException("a power cut needs loop devices and the right to mount; run as root");
        var report = await AlwaysAsync(options, count, cancellation);
        var (lost, worst, cuts) = await EverySecondAsync(options with { Folder = options.Folder + "-everysec" }, (count + EverySecondShare - 1) / EverySecondShare, cancellation);
        return report with
        {
            Figures = new Dictionary<string, double>(report.Figures)
            {
                ["everysec_power_cuts"] = cuts,
                ["everysec_acknowledged_lost"] = lost,
                ["everysec_lost_ms_max"] = Math.Round(1000 * worst / options.RecordRate),
            },
        };
    }

    private static async Task<ChaosReport> AlwaysAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var disks = new List<PowerDisk>();
        try
        {
            await using var run = await LearningRun.StartAsync(options, (folder, student) => Build(folder, student, disks), cancellation);
            var (system, random) = (run.System, new Random(options.Seed));
            var (whileTraining, fallbacks) = (0, 0);
            for (var cut = 1; cut <= count; cut++)
            {
                system.StartDistiller();
                var (early, moment) = (random.NextDouble() < StartShare, random.NextDouble());
                if (!early)
                    await run.TrainsAsync(cancellation);
                await Task.Delay(TimeSpan.FromSeconds(moment * (early ? StartSeconds : WorkSeconds)), cancellation);
                whileTraining += run.IsTraining() ? 1 : 0;
                await system.CheckAsync(cancellation);
                await CutAsync(run, random.Next(2) == 0 ? disks : [.. disks.AsEnumerable().Reverse()], cancellation);
                if (cut % 10 == 0 || cut == count)
                    run.Say($"{cut} power cuts, {whileTraining} of them while it trained; {run.Producer.Acknowledged:N0} records, {run.Watch.Whole.Count} versions");
            }
            fallbacks = File.ReadLines(system.Folder.Log("distiller")).Count(l => l.Contains("continuing from the older checkpoint", StringComparison.Ordinal));
            var report = await run.CloseAsync(cancellation);
            return report with
            {
                Figures = new Dictionary<string, double>(report.Figures)
                {
                    ["power_cuts"] = count,
                    ["power_cuts_while_training"] = whileTraining,
                    ["older_checkpoint_used"] = fallbacks,
                },
            };
        }
        finally
        {
            disks.ForEach(d => d.Dispose());
        }
    }

    // One producer through all cuts: its sequences tell what is missing.
    private static async Task<(long Lost, long Worst, int Cuts)> EverySecondAsync(ChaosOptions options, int cuts, CancellationToken cancellation)
    {
        var disks = new List<PowerDisk>();
        try
        {
            await using var run = await LearningRun.StartAsync(options with { PoisonShare = 0 },
                (folder, student) => Build(folder, student, disks, "--appendfsync", "everysec"), cancellation);
            var random = new Random(options.Seed);
            var (lost, worst, known) = (0L, 0L, 0L);
            for (var cut = 1; cut <= cuts; cut++)
            {
                while (run.Producer.Acknowledged == known)
                    await Task.Delay(5, cancellation);
                await Task.Delay(TimeSpan.FromSeconds(1 + 2 * random.NextDouble()), cancellation);
                var acknowledged = await CutAsync(run, disks, cancellation);
                var key = (string)new StreamKeys(run.Student.Model).Logits!;
                var account = new RecordAccount(AppendOnlyFile.Entries(run.System.RedisFolder).Where(e => e.Key == key));
                var missing = account.MissingInRedis(acknowledged);
                (lost, worst, known) = (missing, Math.Max(worst, missing - lost), acknowledged);
            }
            run.Say($"everysec: {lost} of {run.Producer.Acknowledged:N0} acknowledged records lost in {cuts} power cuts, {worst} at most in one");
            return (lost, worst, cuts);
        }
        finally
        {
            disks.ForEach(d => d.Dispose());
        }
    }

    // Both sides end with their disk, as they would. Returns what had been acknowledged.
    private static async Task<long> CutAsync(LearningRun run, IEnumerable<PowerDisk> order, CancellationToken cancellation)
    {
        var system = run.System;
        run.Watch.Close();
        foreach (var part in (string[])["redis", "distiller"])
            system.MayEnd(part);
        // A machine without power answers nobody. Here its processes live on for an instant, and an fsync that ends in it may come back well though
        // nothing was written (seen in 10 of 60 cuts of a loop that does nothing else; never in one that ended before): nobody may hear of it.
        FaultProxy[] links = [system.ProducerLink, system.DistillerLink];
        foreach (var link in links)
            link.Set(LinkFault.HalfOpen);
        foreach (var disk in order)
            disk.Cut();
        foreach (var part in ((string[])["redis", "distiller"]).Where(system.IsRunning))
            await system.KillAsync(part);
        foreach (var link in links)
            link.Set(LinkFault.None);
        var acknowledged = run.Producer.Acknowledged;
        foreach (var disk in order)
            await disk.RestoreAsync(cancellation);
        // As a server would find it, before anybody puts anything right.
        run.Watch.Open();
        run.Watch.LookOnce();
        await system.StartRedisAsync(cancellation);
        return acknowledged;
    }

    private static ChaosSystem Build(DemoFolder folder, ChaosStudent student, List<PowerDisk> disks, params string[] redisOptions)
    {
        disks.AddRange([new(Path.Combine(folder.Root, "redis-disk")), new(Path.Combine(folder.Root, "distiller-disk"))]);
        return new(folder, student, withDisk: false)
        {
            RedisFolder = disks[0].Path,
            Repository = Path.Combine(disks[1].Path, "repository"),
            State = Path.Combine(disks[1].Path, "distiller"),
            RedisOptions = redisOptions,
        };
    }
}
