using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Writes that survive a power cut: data is on the disk before the name that makes it visible.</summary>
public static partial class DurableFile
{
    private const int OpenDirectory = 0x10000; // O_DIRECTORY | O_RDONLY

    /// <summary>Writes a new file and flushes it to the disk.</summary>
    public static void Write(string path, Action<Stream> write)
    {
        using var stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
        write(stream);
        stream.Flush(flushToDisk: true);
    }

    /// <summary>Replaces a file: readers see the old content or the new, never part of it.</summary>
    public static void Replace(string path, Action<Stream> write)
    {
        var temporary = $"{path}.{Environment.ProcessId}.tmp";
        try
        {
            Write(temporary, write);
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
        FlushFolder(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Makes renames and new names in a folder durable.</summary>
    /// <exception cref="IOException">The disk refused.</exception>
    public static void FlushFolder(string folder)
    {
        var descriptor = Open(folder, OpenDirectory);
        if (descriptor < 0)
            throw new IOException($"cannot open folder {folder}: errno {Marshal.GetLastPInvokeError()}");
        try
        {
            if (FSync(descriptor) != 0)
                throw new IOException($"cannot flush folder {folder}: errno {Marshal.GetLastPInvokeError()}");
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int descriptor);
}
