using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KdServing.LoadTests.Chaos;

/// <summary>Counts how often files are opened or read, by whomever: the kernel's own account (inotify).</summary>
internal sealed partial class FileOpens : IDisposable
{
    private const uint InAccess = 0x1;
    private const uint InOpen = 0x20;
    private const int InNonBlock = 0x800;
    private const int EventBytes = 16;

    private readonly int descriptor;

    /// <param name="paths">Files, or folders for everything in them.</param>
    /// <exception cref="IOException">The kernel refuses the watch.</exception>
    public FileOpens(params ReadOnlySpan<string> paths)
    {
        descriptor = Init(InNonBlock);
        foreach (var path in paths)
        {
            if (descriptor < 0 || AddWatch(descriptor, path, InOpen | InAccess) < 0)
                throw new IOException($"inotify refuses to watch {path}: errno {Marshal.GetLastPInvokeError()}");
        }
    }

    /// <summary>Opens and reads since the last call.</summary>
    public int Take()
    {
        var buffer = new byte[1 << 16];
        var events = 0;
        while (Read(descriptor, buffer, buffer.Length) is > 0 and var count)
        {
            // struct inotify_event: int wd, uint32 mask, uint32 cookie, uint32 len, then len bytes of name.
            for (var at = 0; at < count; events++)
                at += EventBytes + BinaryPrimitives.ReadInt32LittleEndian(buffer.AsSpan(at + 12));
        }
        return events;
    }

    public void Dispose() => _ = Close(descriptor);

    [LibraryImport("libc", EntryPoint = "inotify_init1", SetLastError = true)]
    private static partial int Init(int flags);

    [LibraryImport("libc", EntryPoint = "inotify_add_watch", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int AddWatch(int descriptor, string path, uint mask);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint Read(int descriptor, [Out] byte[] buffer, nint count);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
