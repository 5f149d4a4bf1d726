using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>What the publish-crash drill runs and kills: one publication by <see cref="ModelRepository"/>, and the removal of what it replaces.</summary>
internal static class PublishChild
{
    /// <summary>Publishes version 3 from the files of a prepared version, then removes version 1.</summary>
    /// <param name="source">Folder of a whole version.</param>
    public static int Run(string repository, string model, string source)
    {
        var target = new ModelRepository(repository);
        var manifest = VersionManifest.Parse(File.ReadAllBytes(Path.Combine(source, VersionManifest.FileName)));
        try
        {
            target.Publish(model, PublishCrashDrill.Published,
                folder =>
                {
                    foreach (var name in manifest.Files.Keys)
                        File.WriteAllBytes(Path.Combine(folder, name), File.ReadAllBytes(Path.Combine(source, name)));
                },
                files => manifest with { Version = PublishCrashDrill.Published, BaseVersion = PublishCrashDrill.Published, Files = files });
            target.RemoveBefore(model, PublishCrashDrill.Kept);
            return 0;
        }
        catch (IOException e)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }
}
