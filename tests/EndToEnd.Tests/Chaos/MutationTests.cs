using KdServing.Contracts;
using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>Every kind of damage damages, and whoever looks for whole versions finds it.</summary>
public sealed class MutationTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task No_mutant_is_whole()
    {
        var student = ChaosStudent.Prepare(null, folder["config"], seed: 1);
        var repository = new ModelRepository(folder["models"]);
        SampleVersions.Publish(repository, student);
        await using var watch = new RepositoryWatch(repository, student.Model, TimeSpan.FromHours(1));
        watch.LookOnce();
        Assert.Equal([1, 2], watch.Whole.Order());

        var random = new Random(1);
        for (var n = 0; n < 5 * Mutation.Kinds.Count; n++)
        {
            var version = 100 + n;
            var done = Mutation.Make(repository.Folder(student.Model, 2), repository.Folder(student.Model, version), random, n);
            watch.LookOnce();
            Assert.True(watch.Partial.ContainsKey(version), $"version {version} passes as whole: {done}");
        }
        Assert.Equal([1, 2], watch.Whole.Order());
    }

    // The drill itself must tell a version that is loaded: here it is offered a good one.
    [Fact]
    public async Task A_drill_that_loads_a_version_says_so()
    {
        await using var drill = await RefusalDrill.StartAsync(new(1, 1, null, null, null, 1, 1, 0, folder["run"]), CancellationToken.None);
        await drill.OfferAsync([target =>
        {
            var manifest = drill.Repository.Manifest(drill.Student.Model, 2);
            drill.Repository.Publish(drill.Student.Model, long.Parse(Path.GetFileName(target)), copy =>
            {
                foreach (var name in manifest.Files.Keys)
                    File.Copy(Path.Combine(drill.Source(isBase: false), name), Path.Combine(copy, name));
            }, files => manifest with { Version = long.Parse(Path.GetFileName(target)), Files = files });
            return "good";
        }], CancellationToken.None);

        Assert.Equal((1, 0), (drill.Loaded, drill.Refused));
        Assert.Contains("good", Assert.Single(drill.Broken), StringComparison.Ordinal);
    }
}
