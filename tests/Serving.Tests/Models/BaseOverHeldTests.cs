using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>A base written over the rows in service: the same rows as read into empty tables, and memory for what differs only.</summary>
public sealed class BaseOverHeldTests : IDisposable
{
    private readonly SampleStudent sample = new("mlp");
    private readonly LoadedVersions versions;

    public BaseOverHeldTests() => versions = new(sample, count: 1);

    public void Dispose()
    {
        versions.Dispose();
        sample.Dispose();
    }

    [Fact]
    public unsafe void It_copies_what_differs()
    {
        sample.Learn(seed: 7, rowsPerTable: 1);
        var version = PublishBase();
        using var over = versions.Loader.Load(SampleStudent.Model, version, versions[1]);
        var fresh = versions.LoadAgain((int)version);

        foreach (var (was, table, expected) in versions[1].Tables.Zip(over.Tables, fresh.Tables))
        {
            var copied = 0;
            for (var row = 0; row < table.Rows; row++)
            {
                Assert.Equal(expected[row], table[row]);
                copied += table.Address(row) == was.Address(row) ? 0 : 1;
            }
            // LoadedVersions and this test changed 21 rows; pages are of 1 KiB, and the last of a table need not be whole.
            Assert.InRange(copied, 1, 22 * 256 / table.Width);
        }
        Assert.Null(over.RowsFrom);
    }

    // A rollback across a base, then the chain it left.
    [Fact]
    public void It_may_be_older_than_what_is_held()
    {
        var version = PublishBase();
        using var over = versions.Loader.Load(SampleStudent.Model, version, versions[1]);
        using var back = versions.Loader.Load(SampleStudent.Model, 1, over);

        foreach (var (expected, table) in versions[1].Tables.Zip(back.Tables))
        {
            for (var row = 0; row < table.Rows; row++)
                Assert.Equal(expected[row], table[row]);
        }
        LoadedVersions.RequireScores(back, sample.Request(candidates: 20, seed: 1));
    }

    // A base the publisher cut short must not be filled up with rows of another version.
    [Fact]
    public void It_must_bring_every_row()
    {
        var delta = sample.Publish(versions.Repository);
        versions.Republish(delta, version: 3, m => m with { Kind = VersionKind.Base, BaseVersion = 3, PreviousVersion = 0 });

        var refused = Assert.Throws<VersionRefusedException>(() => versions.Loader.Load(SampleStudent.Model, 3, versions[1]));
        Assert.Contains("of base 3 holds", refused.Message, StringComparison.Ordinal);
    }

    private long PublishBase()
    {
        using var draft = sample.Draft();
        var writer = new VersionWriter(versions.Repository, SampleStudent.Model, new() { BaseEvery = 1 });
        writer.Rebase(versions.Repository.Versions(SampleStudent.Model)[^1]);
        var manifest = writer.Publish(draft);
        Assert.Equal(VersionKind.Base, manifest.Kind);
        return manifest.Version;
    }
}
