namespace KdServing.Contracts;

/// <summary>Folders that are there whole or not at all, whoever else works beside them.</summary>
public static class WholeFolder
{
    private const string RemovedPrefix = ".removed-";

    /// <summary>Removes a folder: it is renamed out of sight, then emptied. Nothing happens when another was first.</summary>
    /// <remarks>Emptied under its own name, one that its writer renames into place meanwhile would appear without the files already gone.</remarks>
    /// <exception cref="IOException">The disk refuses. What is out of sight is removed by the next <see cref="Sweep"/>.</exception>
    public static void Remove(string folder)
    {
        var (parent, name) = (Path.GetDirectoryName(Path.GetFullPath(folder))!, Path.GetFileName(folder));
        var hidden = Path.Combine(parent, RemovedPrefix + name);
        try
        {
            // Left by one that died as it emptied a folder of this name.
            if (Directory.Exists(hidden))
                Directory.Delete(hidden, recursive: true);
            Directory.Move(folder, hidden);
            Directory.Delete(hidden, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Another was first.
        }
    }

    /// <summary>Removes what writers that died left in a folder: what they had begun, and what they had put out of sight.</summary>
    /// <param name="stagingPrefix">Of the names of folders in the making.</param>
    /// <remarks>A writer that is alive after all loses its folder whole, and its rename fails.</remarks>
    public static void Sweep(string parent, string stagingPrefix)
    {
        foreach (var stale in Directory.EnumerateDirectories(parent, stagingPrefix + "*").ToList())
            Remove(stale);
        foreach (var removed in Directory.EnumerateDirectories(parent, RemovedPrefix + "*").ToList())
        {
            try
            {
                Directory.Delete(removed, recursive: true);
            }
            catch (DirectoryNotFoundException)
            {
                // Whoever had put it there was first.
            }
        }
    }
}
