namespace KdServing.LoadTests.Demo;

/// <summary>Where the parts of this build lie: the repository this program was built in.</summary>
internal static class Installation
{
    /// <summary>The repository's root: the nearest folder above the program that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    public static string Samples => Path.Combine(Root, "samples");

    public static string Distiller => Program("src/Distiller", "KdServing.Distiller.dll");

    public static string Serving => Program("src/Serving", "KdServing.Serving.dll");

    public static string LoadTests => Program("load-tests", "KdServing.LoadTests.dll");

    private static string Program(string project, string file)
    {
        // Same configuration as this program: .../bin/<Release|Debug>/net10.0/
        var framework = new DirectoryInfo(AppContext.BaseDirectory);
        var path = Path.Combine(Root, project, "bin", framework.Parent!.Name, framework.Name, file);
        return File.Exists(path) ? path : throw new DemoException($"{file} is not built; run ./kd setup");
    }

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "KdServing.sln")))
                return folder.FullName;
        }
        return Environment.CurrentDirectory;
    }
}
