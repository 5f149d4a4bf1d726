using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>Short forms of <c>kd chaos</c>; the long ones are run by hand (docs/chaos.md).</summary>
public sealed class ChaosRunTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Nothing_is_lost_when_every_part_is_killed_and_links_are_cut()
    {
        ScheduledFault[] faults =
        [
            new(Fault.LoseReplies, 0.5, 0.3, Choice: 3), new(Fault.KillDistiller, 0.3, 0, 0), new(Fault.PlantMutant, 0.2, 0, 0),
            new(Fault.KillServing, 0.2, 0, 0), new(Fault.KillRedis, 0.1, 0.3, 0), new(Fault.FillDisk, 0.5, 0.5, 0), new(Fault.HalfOpenRedis, 0.2, 0.4, Choice: 7),
        ];
        var report = await new ChaosRun(Options() with { RecordRate = 100, Rate = 30 }, faults).RunAsync(CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.Equal(new(1, 1, 1), report.Kills);
        Assert.Equal(2, report.Partitions);
        Assert.True(report.WeightsEqualUnkilledRun);
        Assert.Equal((0, 0), (report.Records.Lost, report.Records.AppliedTwice));
        Assert.True(report.Records.Applied > 100);
        Assert.Equal(report.Records.Produced, report.Records.Applied + report.Records.DeadLettered);
        Assert.Equal(0, report.Requests.Failed);
        Assert.True(report.Requests.Sent > 50);
        Assert.Equal(0, report.Versions.Partial);
        Assert.True(report.Versions.Published > 0);
    }

    // At every kind of moment once; --only publish-crash goes through all of them.
    [Fact]
    public async Task A_publication_interrupted_at_a_system_call_shows_no_part()
    {
        var report = await PublishCrashDrill.RunAsync(Options(), 9, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.True(report.Figures["killed"] > 0);
        Assert.True(report.Figures["refused_by_disk"] > 0);
    }

    [Fact]
    public async Task Damaged_versions_are_not_loaded()
    {
        var report = await MutantsDrill.RunAsync(Options(), 60, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.Equal(60, report.Versions.Rejected);
    }

    [Fact]
    public async Task Graphs_that_reach_outside_are_refused_unopened()
    {
        // All that reach outside come first; then some bombs.
        var report = await MaliciousDrill.RunAsync(Options(), 80, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.True(report.Figures["external_data"] >= 50);
        Assert.Equal(0, report.Figures["opened_outside"]);
    }

    [Fact]
    public async Task Redis_holds_what_it_acknowledged_when_it_is_killed()
    {
        var report = await RedisKillsDrill.RunAsync(Options(), 3, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.True(report.Records.Produced > 0);
    }

    [Fact]
    public async Task Rolling_restarts_fail_no_request()
    {
        var report = await RollingRestartsDrill.RunAsync(Options() with { Rate = 40 }, 2, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.True(report.Requests.Sent > 20);
    }

    private ChaosOptions Options() => new(Minutes: 10, Seed: 5, Only: null, Count: null, Data: null, Rate: 20, RecordRate: 100, PoisonShare: 0.05, folder["run"]);
}
