namespace KdServing.Benchmarks;

/// <summary>The repository this program was built in: benchmarks run from any folder.</summary>
internal static class Checkout
{
    /// <summary>Its root.</summary>
    public static string Root { get; } = Find();

    /// <summary>The folder of a sample.</summary>
    public static string Sample(string name) => Path.Combine(Root, "samples", name);

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "KdServing.sln")))
                return folder.FullName;
        }
        return Environment.CurrentDirectory;
    }
}
