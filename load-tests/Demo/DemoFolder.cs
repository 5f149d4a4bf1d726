namespace KdServing.LoadTests.Demo;

/// <summary>The folder of one run: everything the processes write, nothing elsewhere. Nobody else's until it is disposed.</summary>
internal sealed class DemoFolder : IDisposable
{
    // Held open, hence locked: the kernel lets go of it however the demo ends.
    private readonly FileStream marker;

    /// <exception cref="DemoException">The folder is somebody else's, or a demo runs in it.</exception>
    public DemoFolder(string path)
    {
        Root = Path.GetFullPath(path);
        if (Directory.Exists(Root) && !File.Exists(Path.Combine(Root, Marker)) && Directory.EnumerateFileSystemEntries(Root).Any())
            throw new DemoException($"{Root} is not empty and was not made by a demo; choose another --folder");
        if (Directory.Exists(Root))
        {
            using (Lock())
                Directory.Delete(Root, recursive: true);
        }
        foreach (var folder in new[] { Root, Redis, Repository, DistillerState, Logs })
            Directory.CreateDirectory(folder);
        marker = Lock();
        marker.Write("made by kd demo; replaced by the next one\n"u8);
        marker.Flush();
    }

    private const string Marker = ".kd-demo";

    public string Root { get; }

    public string Redis => Path.Combine(Root, "redis");

    public string Repository => Path.Combine(Root, "repository");

    public string DistillerState => Path.Combine(Root, "distiller");

    public string Catalog => Path.Combine(Root, "catalog");

    public string Logs => Path.Combine(Root, "logs");

    public string TeacherStatus => Path.Combine(Root, "teacher.json");

    public string DistillerStatus => Path.Combine(Root, "distiller.json");

    public string ProducedLog => Path.Combine(Root, "produced.log");

    /// <summary>Holds the process id of a part, so that a person can kill it and watch what happens.</summary>
    public string PidFile(string process) => Path.Combine(Root, process + ".pid");

    public string Log(string process) => Path.Combine(Logs, process + ".log");

    public void Dispose() => marker.Dispose();

    private FileStream Lock()
    {
        try
        {
            return new(Path.Combine(Root, Marker), FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
        }
        catch (IOException e)
        {
            throw new DemoException($"another demo runs in {Root} ({e.Message}); stop it, or choose another --folder");
        }
    }
}
