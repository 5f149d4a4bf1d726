using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>Which version a server takes: as a policy, and for real at its start.</summary>
public sealed class StartTests
{
    // Situation: versions present, version in service, versions refused. Decision: the one to try next.
    [Theory]
    [InlineData(new long[] { }, 0, new long[] { }, null)]
    [InlineData(new long[] { 1, 2, 3 }, 0, new long[] { }, 3L)]
    [InlineData(new long[] { 1, 2, 3 }, 0, new long[] { 3 }, 2L)]
    [InlineData(new long[] { 1, 2, 3 }, 0, new long[] { 1, 2, 3 }, null)]
    [InlineData(new long[] { 1, 2, 3 }, 1, new long[] { 3 }, 2L)]
    [InlineData(new long[] { 1, 2, 3 }, 3, new long[] { }, null)]
    [InlineData(new long[] { 1, 2 }, 3, new long[] { }, null)]
    public void The_newest_good_version_is_aspired_and_none_older_than_the_served(long[] present, long current, long[] refused, long? next) =>
        Assert.Equal(next, AspiredVersion.Next(present, current, pinned: 0, held: false, refused.Contains));

    [Fact]
    public async Task A_server_starts_with_the_newest_version_that_is_good()
    {
        using var sample = new SampleStudent("two_tower");
        await using var server = await RunningServer.StartAsync(sample: null);
        using var staging = new TemporaryFolder();
        var repository = new ModelRepository(staging.Path);
        for (var version = 1; version <= 4; version++)
        {
            sample.Learn(version);
            sample.Publish(repository);
        }
        foreach (var version in (long[])[3, 4])
            File.WriteAllBytes(Path.Combine(repository.Folder(SampleStudent.Model, version), StudentSignature.HeadFile), []);
        Directory.CreateDirectory(server.Repository.Root);
        Directory.Move(Path.Combine(staging.Path, SampleStudent.Model), Path.Combine(server.Repository.Root, SampleStudent.Model));

        await server.ServesAsync(2);
        Assert.Equal([3, 4], server.Source.Refused.Keys.Order());
        Assert.Equal([4, 3, 2], server.Ledger.Entries().Select(e => e.Version));
        Assert.Equal(2, (await server.Client.RankAsync(sample.Request(candidates: 5, seed: 1))).Version);
        // The newest good version is still 2: nothing else is tried.
        await Task.Delay(100);
        Assert.Equal(3, server.Ledger.Entries().Count);
    }

    [Fact]
    public async Task A_delta_far_ahead_of_the_served_version_is_built_from_its_base()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample: null);
        using var staging = new TemporaryFolder();
        var repository = new ModelRepository(staging.Path);
        for (var version = 1; version <= 5; version++)
        {
            sample.Publish(repository);
            sample.Learn(version);
        }
        Directory.CreateDirectory(server.Repository.Root);
        Directory.Move(Path.Combine(staging.Path, SampleStudent.Model), Path.Combine(server.Repository.Root, SampleStudent.Model));
        await server.ServesAsync(5);
        Assert.Equal(VersionKind.Delta, server.Slot.Current!.Manifest.Kind);
    }

    [Fact]
    public async Task The_loader_thread_gives_way()
    {
        using var thread = new NicedThread("test", niceness: 7);
        Assert.Equal(1, await thread.RunAsync(() => 1));
        Assert.Equal(7, thread.Niceness);
        await Assert.ThrowsAsync<InvalidOperationException>(() => thread.RunAsync<int>(() => throw new InvalidOperationException()));
    }
}
