using System.Diagnostics;

namespace KdServing.LoadTests.Chaos;

/// <summary>A small file system of its own for repository and checkpoints, to be filled or made to refuse. Needs root.</summary>
internal sealed class SmallDisk : IDisposable
{
    private readonly string ballast;

    private SmallDisk(string path)
    {
        Path = path;
        ballast = System.IO.Path.Combine(path, ".ballast");
    }

    public string Path { get; }

    /// <summary>Null where this process may not mount; the disk faults are left out then.</summary>
    public static SmallDisk? TryMount(string folder, int megabytes)
    {
        Directory.CreateDirectory(folder);
        return Run("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "tmpfs", folder) ? new(folder) : null;
    }

    /// <summary>Leaves not a byte.</summary>
    public void Fill()
    {
        using var file = new FileStream(ballast, FileMode.Create, FileAccess.Write, FileShare.None, 1);
        foreach (var size in (int[])[1 << 20, 1 << 12, 1])
        {
            try
            {
                while (true)
                    file.Write(new byte[size]);
            }
            catch (IOException)
            {
                // Full to this size; the next one is smaller.
            }
        }
    }

    public void Empty() => File.Delete(ballast);

    /// <summary>Every write is refused from now on (EROFS); false while somebody has a file open for writing.</summary>
    public bool TryRefuseWrites() => Run("mount", "-o", "remount,ro", Path);

    public void AllowWrites() => Run("mount", "-o", "remount,rw", Path);

    public void Dispose() => Run("umount", "-l", Path);

    private static bool Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
