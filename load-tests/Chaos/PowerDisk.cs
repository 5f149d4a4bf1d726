using System.Diagnostics;
using System.Runtime.InteropServices;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>A disk whose power can be cut: an ext4 file system in a file. What was not flushed when it went is gone.</summary>
/// <remarks>
/// The cut is <c>EXT4_IOC_SHUTDOWN</c> without a flush of the log, as xfstests does it: from that instant nothing reaches the disk, and every
/// write and fsync fails. Mounting it again replays the journal, as after a real one. Needs root and loop devices. Mounted so that it
/// guards nothing it need not: no early commit of its journal, no flush of a file because it is renamed over another
/// (<c>noauto_da_alloc</c>).
/// </remarks>
internal sealed partial class PowerDisk : IDisposable
{
    private const int Megabytes = 512;
    private const uint ShutDown = 0x8004587d; // _IOR('X', 125, __u32)
    private const int NoLogFlush = 2;
    private const int ReadOnlyDirectory = 0x10000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly string image;
    private bool isMounted;

    /// <param name="folder">Where the disk is seen; its file lies beside it.</param>
    /// <exception cref="DemoException">This process may not make one.</exception>
    public PowerDisk(string folder)
    {
        (Path, image) = (folder, folder + ".ext4");
        Directory.CreateDirectory(folder);
        using (var file = File.Create(image))
            file.SetLength((long)Megabytes << 20);
        Run("mkfs.ext4", "-q", "-F", "-m", "0", image);
        Mount();
    }

    public string Path { get; }

    /// <summary>Whether a power cut can be made here.</summary>
    public static bool IsPossible => Environment.UserName == "root" && File.Exists("/dev/loop-control");

    /// <summary>Cuts the power. Whoever has files open must end before <see cref="RestoreAsync"/>.</summary>
    public void Cut()
    {
        var descriptor = Open(Path, ReadOnlyDirectory);
        var flags = NoLogFlush;
        var result = Control(descriptor, ShutDown, ref flags);
        var error = Marshal.GetLastPInvokeError();
        _ = Close(descriptor);
        if (result != 0)
            throw new DemoException($"the power of {Path} can not be cut: errno {error}; it needs root and an ext4 that knows EXT4_IOC_SHUTDOWN");
    }

    /// <summary>The machine is on again: what the disk holds is what was flushed.</summary>
    public async Task RestoreAsync(CancellationToken cancellation)
    {
        // A look by somebody else may hold it for a moment.
        for (var clock = Stopwatch.StartNew(); !Try("umount", Path); await Task.Delay(50, cancellation))
        {
            if (clock.Elapsed > Patience)
                throw new DemoException($"{Path} is still in use {Patience.TotalSeconds:F0} s after its power was cut");
        }
        isMounted = false;
        Mount();
    }

    public void Dispose()
    {
        if (isMounted)
            Try("umount", "-l", Path);
        File.Delete(image);
    }

    private void Mount()
    {
        Run("mount", "-o", "loop,noauto_da_alloc,commit=3600", image, Path);
        isMounted = true;
    }

    private static void Run(string program, params string[] arguments)
    {
        if (!Try(program, arguments))
            throw new DemoException($"'{program} {string.Join(' ', arguments)}' failed; a power cut needs root, e2fsprogs and loop devices");
    }

    private static bool Try(string program, params string[] arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int descriptor, nuint request, ref int argument);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
