using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only clock</c>: the wall clocks of Redis, the Distiller and Serving jump by an hour, forth and back, each by itself, while records are
/// learned, requests ranked, and a standby waits for a lease that Redis measures with such a clock.
/// </summary>
internal static class ClockDrill
{
    private const int Candidates = 50;
    private static readonly TimeSpan Jump = TimeSpan.FromHours(1);
    private static readonly TimeSpan FreshPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(100);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clocks = new Dictionary<string, PartClock>();
        await using var run = await LearningRun.StartAsync(options, (folder, student) => Build(folder, student, clocks), cancellation);
        var system = run.System;
        using var epochs = EpochWatch.Start(run.Student.Model, system.RedisPort);
        var succession = new Succession(run);
        system.StartDistiller();
        system.MayEnd("distiller");
        system.StartServing();
        await system.ServesAsync(cancellation);
        await succession.StandByAsync(cancellation);
        await using var traffic = new ChaosTraffic(system.ServingAddress, run.Student, options.Rate, Candidates, system.DeadServing, options.Seed);
        await using var served = new ServedVersions(system, LookInterval);
        var random = new Random(options.Seed);
        var successions = 0;
        for (var jump = 1; jump <= count; jump++)
        {
            // Each in turn, so that a short run has all three.
            var (part, clock) = clocks.ElementAt((jump - 1) % clocks.Count);
            clock.Set(clock.Offset != TimeSpan.Zero ? TimeSpan.Zero : random.Next(2) == 0 ? Jump : -Jump);
            await Task.Delay(PartClock.Delay + TimeSpan.FromSeconds(random.NextDouble()), cancellation);
            successions += await SucceedAsync(run, succession, cancellation) ? 1 : 0;
            // Whatever the clocks say: learned, published and served.
            var newest = served.Newest;
            await system.UntilAsync(() => Task.FromResult(served.Newest > newest), FreshPatience, $"a new version to be served after the clock of {part} was set by {clock.Offset.TotalHours:+0;-0;0} h", cancellation);
            if (jump % 10 == 0 || jump == count)
                run.Say($"{jump} jumps, the standby took over {successions} times; {run.Producer.Acknowledged:N0} records, version {served.Newest}");
        }
        await succession.DismissAsync();
        await traffic.StopAsync();
        var report = await run.CloseAsync(cancellation);
        await epochs.SettleAsync(run.Redis, cancellation);
        return report with
        {
            Requests = new(traffic.Figures.Requests, traffic.Failed, traffic.FailedWhileServingWasDead),
            Figures = new Dictionary<string, double>(report.Figures)
            {
                ["clock_jumps"] = count,
                ["successions"] = successions,
                ["stale_calls_refused"] = epochs.Refused,
                ["stale_publishes"] = epochs.Stale.Count,
            },
            Broken =
            [
                .. report.Broken, .. epochs.Stale, .. served.Regressions, .. Faults(system.Folder.Logs),
                .. traffic.Failed > 0 ? (string[])[$"{traffic.Failed} ranking requests failed: {traffic.Reasons}"] : [],
            ],
        };
    }

    // A Redis whose clock jumps ends every lease: then the one that stood by may be faster than the owner.
    private static async Task<bool> SucceedAsync(LearningRun run, Succession succession, CancellationToken cancellation)
    {
        if (run.System.IsRunning("distiller"))
            return false;
        await run.System.UntilAsync(() => Task.FromResult(run.IsTraining(succession.Standby)), LearningRun.StartPatience, "the standby to take over", cancellation);
        succession.Succeed();
        await succession.StandByAsync(cancellation);
        run.System.MayEnd("distiller");
        return true;
    }

    // A Distiller may end here because another one took over, and for no other reason: an exception is written with its stack.
    private static IEnumerable<string> Faults(string logs) => Directory.GetFiles(logs, "*.log")
        .Where(log => File.ReadLines(log).Any(line => line.StartsWith("   at ", StringComparison.Ordinal)))
        .Select(log => $"a fault is written in {Path.GetFileName(log)}");

    private static ChaosSystem Build(DemoFolder folder, ChaosStudent student, Dictionary<string, PartClock> clocks)
    {
        foreach (var part in (string[])["redis", "distiller", "serving"])
            clocks[part] = new(Path.Combine(folder.Root, part + ".clock"));
        return new(folder, student, withDisk: false) { RunBy = part => clocks.GetValueOrDefault(part, clocks["distiller"]).Words };
    }
}
