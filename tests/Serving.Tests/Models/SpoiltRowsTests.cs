using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>Rows are applied while they are read, to forks: what is found wrong at their end leaves the version in service as it was.</summary>
public sealed class SpoiltRowsTests : IDisposable
{
    private readonly SampleStudent sample = new("mlp");
    private readonly LoadedVersions versions;

    public SpoiltRowsTests() => versions = new(sample, count: 1);

    public void Dispose()
    {
        versions.Dispose();
        sample.Dispose();
    }

    // The last value of the last table, which no golden request need touch. Hashes fit: the publisher did it.
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void A_delta_with_a_value_that_is_not_finite(float value)
    {
        var delta = sample.Publish(versions.Repository);
        Assert.Equal(VersionKind.Delta, delta.Kind);
        versions.Republish(delta, version: 3, tamper: folder => Spoil(folder, value));

        var table = sample.Schema.Tables[^1];
        Assert.Contains($"rows.bin: table '{table.Name}' holds {value} in row", RequireUnchanged(3).Message);
        versions.Loader.Load(SampleStudent.Model, 2, versions[1]).Dispose();
    }

    [Fact]
    public void A_delta_that_is_not_the_file_of_its_manifest()
    {
        var delta = sample.Publish(versions.Repository);
        Spoil(versions.Repository.Folder(SampleStudent.Model, delta.Version), 7);

        Assert.Contains("SHA-256", RequireUnchanged(delta.Version).Message);
    }

    private VersionRefusedException RequireUnchanged(long version)
    {
        var before = versions[1].Tables.Select(Copy).ToList();
        var refused = Assert.Throws<VersionRefusedException>(() => versions.Loader.Load(SampleStudent.Model, version, versions[1]));
        Assert.True(refused.IsFinal);
        Assert.Equal(before, versions[1].Tables.Select(Copy));
        LoadedVersions.RequireScores(versions[1], sample.Request(candidates: 20, seed: 1));
        return refused;
    }

    private static float[] Copy(EmbeddingTable table) => [.. Enumerable.Range(0, table.Rows).SelectMany(row => table[row].ToArray())];

    private static void Spoil(string folder, float value)
    {
        var path = Path.Combine(folder, StudentSignature.RowsFile);
        var bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(^sizeof(float)..), value);
        File.WriteAllBytes(path, bytes);
    }
}
