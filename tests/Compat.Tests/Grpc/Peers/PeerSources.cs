using System.Reflection;
using System.Security.Cryptography;

namespace KdServing.Compat.Tests.Peers;

/// <summary>Where the sources of the foreign peers lie, and where they are built; a build is repeated only when they change.</summary>
internal static class PeerSources
{
    public static string Directory { get; } = Metadata("GrpcInteropSources");

    public static string Proto { get; } = Path.Combine(Directory, "test.proto");

    /// <summary>Runs <paramref name="build"/> in a folder of its own unless it ran before for the same sources.</summary>
    public static async Task<string> BuildAsync(string name, IEnumerable<string> sources, Func<string, Task> build)
    {
        var directory = Path.Combine(Metadata("GrpcInteropBuild"), name);
        System.IO.Directory.CreateDirectory(directory);
        var stamp = Path.Combine(directory, "built-from.sha256");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var source in sources)
            hash.AppendData(await File.ReadAllBytesAsync(source));

        var digest = Convert.ToHexString(hash.GetHashAndReset());
        if (!File.Exists(stamp) || await File.ReadAllTextAsync(stamp) != digest)
        {
            await build(directory);
            await File.WriteAllTextAsync(stamp, digest);
        }

        return directory;
    }

    private static string Metadata(string key) => typeof(PeerSources).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == key).Value!;
}
