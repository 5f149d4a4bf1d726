using KdServing.LoadTests.Kills;

namespace KdServing.EndToEnd.Tests;

/// <summary>The short form of <c>kd verify-kills</c>.</summary>
public sealed class KillTests(RedisServer redis) : IClassFixture<RedisServer>
{
    [Fact]
    public async Task Twenty_deaths_lose_nothing_apply_nothing_twice_and_change_no_weight()
    {
        using var folder = new TemporaryFolder();

        var report = await new KillRun(redis.Connect(), redis.Endpoint, folder.Path, kills: 20, seed: 3, shards: 2, _ => { }).RunAsync(CancellationToken.None);

        Assert.Equal(report.Records.Produced, report.Records.Applied);
        Assert.Equal((0, 0), (report.Records.Lost, report.Records.AppliedTwice));
        Assert.Equal(report.Records.Poisoned, report.Records.DeadLettered);
        Assert.Equal(report.Records.Repeated, report.Records.Recognised);
        Assert.Equal((0, 0), (report.Versions.Changed, report.Versions.Gaps));
        Assert.True(report.Versions.Published > 5);
        Assert.True(report.WeightsEqualUnkilledRun);
        Assert.True(report.CalibrationEqualUnkilledRun);
        Assert.True(report.Holds);
    }
}
