using System.Diagnostics;

namespace KdServing.LoadTests.Chaos;

/// <summary>
/// <c>--only pauses</c>: the Distiller is stopped (SIGSTOP) wherever it is, until a standby has taken over, and wakes up while that one recovers or
/// works; nothing it still does may take effect.
/// </summary>
internal static class PausesDrill
{
    // As short as a busy machine lets an owner keep it: a pause costs a lease.
    private const double LeaseSeconds = 2;
    private const double WorkSeconds = 1;

    // From the claim on: recovery, the first batches, the first version.
    private const double WakeSeconds = 1.5;
    private const int Resigned = 1;
    private static readonly TimeSpan TakeOverPatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ResignPatience = TimeSpan.FromSeconds(20);

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        await using var run = await LearningRun.StartAsync(options, (folder, student) => new(folder, student, withDisk: false)
        {
            DistillerOptions = ["--lease-seconds", LeaseSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture)],
        }, cancellation);
        var system = run.System;
        using var epochs = EpochWatch.Start(run.Student.Model, system.RedisPort);
        var succession = new Succession(run);
        var random = new Random(options.Seed);
        var broken = new List<string>();
        var slowest = TimeSpan.Zero;
        system.StartDistiller();
        for (var pause = 1; pause <= count; pause++)
        {
            await run.TrainsAsync(cancellation);
            await succession.StandByAsync(cancellation);
            await Task.Delay(TimeSpan.FromSeconds(WorkSeconds * random.NextDouble()), cancellation);
            await system.CheckAsync(cancellation);
            var epoch = epochs.Newest;
            system.MayEnd("distiller");
            system.Stop("distiller");
            await system.UntilAsync(() => Task.FromResult(epochs.Newest > epoch), TakeOverPatience, "the standby to take over", cancellation);
            await Task.Delay(TimeSpan.FromSeconds(WakeSeconds * random.NextDouble()), cancellation);
            system.Continue("distiller");
            var woken = Stopwatch.StartNew();
            while (system.IsRunning("distiller") && woken.Elapsed < ResignPatience)
                await Task.Delay(10, cancellation);
            slowest = woken.Elapsed > slowest ? woken.Elapsed : slowest;
            if (system.ExitCode("distiller") is not Resigned and var code)
            {
                broken.Add($"pause {pause}: {(code is null ? $"a Distiller that had lost its lease went on for {ResignPatience.TotalSeconds:F0} s" : $"it ended with exit code {code}")}");
                await system.KillAsync("distiller");
            }
            succession.Succeed();
            if (pause % 20 == 0 || pause == count)
                run.Say($"{pause} pauses, {epochs.Refused} calls of owners of before refused, {epochs.Stale.Count} carried out; {run.Producer.Acknowledged:N0} records, {run.Watch.Whole.Count} versions");
        }
        await run.TrainsAsync(cancellation);
        var report = await run.CloseAsync(cancellation);
        await epochs.SettleAsync(run.Redis, cancellation);
        return report with
        {
            Pauses = count,
            Figures = new Dictionary<string, double>(report.Figures)
            {
                ["lease_seconds"] = LeaseSeconds,
                ["epochs"] = epochs.Newest,
                ["stale_calls_refused"] = epochs.Refused,
                ["stale_publishes"] = epochs.Stale.Count + run.Watch.Disorder.Count,
                ["slowest_resignation_ms"] = Math.Round(slowest.TotalMilliseconds),
            },
            Broken = [.. report.Broken, .. broken, .. epochs.Stale],
        };
    }
}
