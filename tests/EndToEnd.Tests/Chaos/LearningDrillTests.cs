using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>Short forms of the drills that hurt a learning Distiller.</summary>
public sealed class LearningDrillTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task An_owner_that_slept_past_its_lease_publishes_nothing()
    {
        var report = await PausesDrill.RunAsync(Options(), 2, CancellationToken.None);

        Exact(report);
        Assert.Equal(2, report.Pauses);
        Assert.True(report.Figures["epochs"] >= 3);
        Assert.Equal(0, report.Figures["stale_publishes"]);
    }

    [Fact]
    public async Task A_power_cut_takes_nothing_that_was_acknowledged()
    {
        if (!PowerDisk.IsPossible)
            return; // PowerDiskTests say what a run without the right to mount says
        var report = await PowerLossDrill.RunAsync(Options(), 2, CancellationToken.None);

        Exact(report);
        Assert.Equal(2, report.Figures["power_cuts"]);
    }

    [Fact]
    public async Task Clocks_that_jump_by_an_hour_change_nothing()
    {
        var report = await ClockDrill.RunAsync(Options(), 3, CancellationToken.None);

        Exact(report);
        Assert.Equal(0, report.Figures["stale_publishes"]);
        Assert.True(report.Requests.Sent > 20);
    }

    [Fact]
    public async Task A_stalled_Distiller_holds_the_producer_back_and_not_Redis()
    {
        var report = await StalledConsumerDrill.RunAsync(Options(), 1, CancellationToken.None);

        Exact(report);
        Assert.True(report.Figures["producer_waits"] > 0);
        Assert.InRange(report.Figures["redis_peak_bytes"], report.Figures["stream_bound_bytes"] / 2, report.Figures["redis_bound_bytes"]);
    }

    // The long form compares throughput too.
    [Fact]
    public async Task Every_poison_entry_is_a_dead_letter()
    {
        var report = await PoisonDrill.RunAsync(Options(), 800, CancellationToken.None);

        Assert.Empty(report.Broken);
        Assert.Equal(8, report.Records.DeadLettered);
        Assert.Equal(792, report.Records.Applied);
    }

    private static void Exact(ChaosReport report)
    {
        Assert.Empty(report.Broken);
        Assert.Equal((0, 0), (report.Records.Lost, report.Records.AppliedTwice));
        Assert.True(report.Records.Applied > 100);
        Assert.True(report.WeightsEqualUnkilledRun);
        Assert.Equal(0, report.Versions.Partial);
    }

    private ChaosOptions Options() => new(Minutes: 10, Seed: 5, Only: null, Count: null, Data: null, Rate: 20, RecordRate: 100, PoisonShare: 0.05, folder["run"]);
}
