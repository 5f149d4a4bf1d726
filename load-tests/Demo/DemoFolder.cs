namespace KdServing.LoadTests.Demo;

/// <summary>The folder of one run: everything the processes write, nothing elsewhere.</summary>
internal sealed class DemoFolder
{
    public DemoFolder(string path)
    {
        Root = Path.GetFullPath(path);
        if (Directory.Exists(Root) && !File.Exists(Path.Combine(Root, Marker)) && Directory.EnumerateFileSystemEntries(Root).Any())
            throw new DemoException($"{Root} is not empty and was not made by a demo; choose another --folder");
        if (Directory.Exists(Root))
            Directory.Delete(Root, recursive: true);
        foreach (var folder in new[] { Root, Redis, Repository, DistillerState, Logs })
            Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(Root, Marker), "made by kd demo; replaced by the next one\n");
    }

    private const string Marker = ".kd-demo";

    public string Root { get; }

    public string Redis => Path.Combine(Root, "redis");

    public string Repository => Path.Combine(Root, "repository");

    public string DistillerState => Path.Combine(Root, "distiller");

    public string Logs => Path.Combine(Root, "logs");

    public string TeacherStatus => Path.Combine(Root, "teacher.json");

    public string DistillerStatus => Path.Combine(Root, "distiller.json");

    public string ProducedLog => Path.Combine(Root, "produced.log");

    /// <summary>Holds the process id of a part, so that a person can kill it and watch what happens.</summary>
    public string PidFile(string process) => Path.Combine(Root, process + ".pid");

    public string Log(string process) => Path.Combine(Logs, process + ".log");
}
