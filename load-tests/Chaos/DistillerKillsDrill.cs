namespace KdServing.LoadTests.Chaos;

/// <summary><c>--only distiller-kills</c>: the Distiller is killed again and again at random moments, from its first instruction on, while records arrive.</summary>
internal static class DistillerKillsDrill
{
    // One kill in four falls anywhere into a start, recovery included; the others find the Distiller at work.
    private const double StartShare = 0.25;
    private const double StartSeconds = 2;
    private const double WorkSeconds = 1;

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        await using var run = await LearningRun.StartAsync(options, (folder, student) => new(folder, student, withDisk: false), cancellation);
        var random = new Random(options.Seed);
        var whileTraining = 0;
        for (var kill = 1; kill <= count; kill++)
        {
            run.System.StartDistiller();
            var (early, moment) = (random.NextDouble() < StartShare, random.NextDouble());
            if (!early)
                await run.TrainsAsync(cancellation);
            await Task.Delay(TimeSpan.FromSeconds(moment * (early ? StartSeconds : WorkSeconds)), cancellation);
            whileTraining += run.IsTraining() ? 1 : 0;
            await run.System.CheckAsync(cancellation);
            await run.System.KillAsync("distiller");
            if (kill % 20 == 0 || kill == count)
                run.Say($"{kill} kills, {whileTraining} of them while it trained; {run.Producer.Acknowledged:N0} records, {run.Watch.Whole.Count} versions");
        }
        var report = await run.CloseAsync(cancellation);
        return report with
        {
            Kills = new(count, 0, 0),
            Figures = new Dictionary<string, double>(report.Figures) { ["kills_while_training"] = whileTraining },
        };
    }
}
