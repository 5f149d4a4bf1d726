using System.Diagnostics;

namespace KdServing.Contracts.Tests.Versions;

/// <summary>A small file system of its own, to be filled to the last byte. Needs root, as CI has it.</summary>
public sealed class FullDisk : IDisposable
{
    private readonly string folder;

    private FullDisk(string folder) => this.folder = folder;

    public string Path => folder;

    /// <summary>Null where this process may not mount.</summary>
    public static FullDisk? TryMount(int kilobytes)
    {
        var folder = Directory.CreateTempSubdirectory("kd-disk-").FullName;
        if (Run("mount", "-t", "tmpfs", "-o", $"size={kilobytes}k", "tmpfs", folder) == 0)
            return new(folder);
        Directory.Delete(folder);
        return null;
    }

    public long FreeBytes => new DriveInfo(folder).AvailableFreeSpace;

    public void Dispose()
    {
        Run("umount", "-l", folder);
        Directory.Delete(folder);
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
