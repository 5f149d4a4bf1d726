using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Native memory in 2 MiB pages where the kernel gives them (<c>madvise</c>); else plain memory.</summary>
public static unsafe partial class HugePages
{
    private const nuint PageBytes = 2 * 1024 * 1024;
    private const int AdviseHugePage = 14; // MADV_HUGEPAGE

    /// <summary>Not zeroed; freed by <see cref="NativeMemory.AlignedFree"/>.</summary>
    public static nint Allocate(nuint bytes)
    {
        // A small catalog does not pay for a page of 2 MiB.
        if (bytes < PageBytes)
            return (nint)NativeMemory.AlignedAlloc(bytes, 64);
        var address = NativeMemory.AlignedAlloc(bytes, PageBytes);
        Ask((nint)address, bytes);
        return (nint)address;
    }

    /// <summary>Asks for huge pages in memory that has not been touched yet and stays where it is; those that fit inside it whole.</summary>
    public static void Ask(nint address, nuint bytes)
    {
        var first = ((nuint)address + PageBytes - 1) / PageBytes * PageBytes;
        var end = ((nuint)address + bytes) / PageBytes * PageBytes;
        // Refused (a kernel without them): the memory is as good as any.
        if (OperatingSystem.IsLinux() && first < end)
            _ = Advise((void*)first, end - first, AdviseHugePage);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
