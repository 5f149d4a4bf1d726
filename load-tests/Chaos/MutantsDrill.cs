using System.Diagnostics;

namespace KdServing.LoadTests.Chaos;

/// <summary><c>--only mutants</c>: damaged copies of good versions are offered to a Serving process; it must load none.</summary>
internal static class MutantsDrill
{
    private const int AtOnce = 100;

    public static async Task<ChaosReport> RunAsync(ChaosOptions options, int count, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        await using var drill = await RefusalDrill.StartAsync(options, cancellation);
        var random = new Random(options.Seed);
        for (var done = 0; done < count && drill.Broken.Count < 10;)
        {
            var batch = Math.Min(AtOnce, count - done);
            await drill.OfferAsync([.. Enumerable.Range(done, batch).Select(n =>
                (Func<string, string>)(target => Mutation.Make(drill.Source(isBase: n / Mutation.Kinds.Count % 2 == 0), target, random, n)))], cancellation);
            done += batch;
            if (done % 1000 == 0 || done == count)
                options.Say($"{clock.Elapsed:mm\\:ss} {done:N0} mutants offered, {drill.Refused:N0} refused, {drill.Loaded} loaded");
        }
        await drill.RequireAliveAsync();
        return new()
        {
            Seed = options.Seed,
            Only = options.Only,
            Versions = new(2, 0, drill.Refused),
            Figures = new Dictionary<string, double> { ["mutants"] = count, ["loaded"] = drill.Loaded },
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 1),
            Broken = drill.Broken,
        };
    }
}
