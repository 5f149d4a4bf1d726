using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KdServing.Contracts;

/// <summary>Reads files that somebody else wrote: only plain ones, never through a symbolic link, never more than was said.</summary>
internal static partial class RegularFile
{
    private const int NonBlocking = 0x800; // O_NONBLOCK: opening a pipe must not wait for its writer
    private const int CloseOnExec = 0x80000; // O_CLOEXEC
    private const int NotFound = 2; // ENOENT
    private const int TooManyLinks = 40; // ELOOP: what O_NOFOLLOW answers to a link

    // O_NOFOLLOW has another number on ARM; see fcntl.h of either.
    private static readonly int NoFollow = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x8000 : 0x20000;

    /// <inheritdoc cref="Open(string, long, out long)"/>
    public static byte[] Read(string path, long maxBytes)
    {
        using var handle = Open(path, Math.Min(maxBytes, Array.MaxLength), out var length);
        var bytes = new byte[length];
        for (var read = 0; read < bytes.Length;)
        {
            var got = RandomAccess.Read(handle, bytes.AsSpan(read), read);
            if (got == 0)
                throw new IOException($"{Path.GetFileName(path)} grew shorter while it was read");
            read += got;
        }
        return bytes;
    }

    /// <param name="maxBytes">A longer file is refused before it is read.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="ContractException">A link, a pipe, a device, or longer than <paramref name="maxBytes"/>.</exception>
    /// <exception cref="IOException">The disk refuses.</exception>
    public static SafeFileHandle Open(string path, long maxBytes, out long length)
    {
        var name = Path.GetFileName(path);
        var handle = Open(path, name);
        try
        {
            length = RandomAccess.GetLength(handle);
            return length <= maxBytes ? handle : throw new ContractException(name, $"has {length} bytes; {maxBytes} at most are read");
        }
        catch (Exception e)
        {
            handle.Dispose();
            if (e is NotSupportedException)
                throw new ContractException(name, "is not a plain file");
            throw;
        }
    }

    private static SafeFileHandle Open(string path, string name)
    {
        if (!OperatingSystem.IsLinux())
            return File.OpenHandle(path);
        var handle = Open(path, NoFollow | NonBlocking | CloseOnExec);
        if (!handle.IsInvalid)
            return handle;
        var error = Marshal.GetLastPInvokeError();
        handle.Dispose();
        throw error switch
        {
            NotFound => new FileNotFoundException($"{name} is missing"),
            TooManyLinks => new ContractException(name, "is a symbolic link; a version holds plain files only"),
            _ => new IOException($"{name} can not be opened: errno {error}"),
        };
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle Open(string path, int flags);
}
