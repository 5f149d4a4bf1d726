using System.Runtime.InteropServices;

namespace KdServing.Serving.Kernels;

/// <summary>Room for the signals of a thread that uses the matrix unit.</summary>
/// <remarks>
/// A signal's frame holds all registers of its thread, and 8 KiB more from the first use of the unit on. .NET takes a null reference as a signal, on
/// a stack of 16 KiB of its own: too little then, and the process would end where an exception was to be thrown. So such a thread gets a
/// larger one. https://docs.kernel.org/arch/x86/elf_auxvec.html
/// </remarks>
internal static unsafe partial class SignalStack
{
    // Four times the runtime's; only pages that are touched take memory.
    private const int Bytes = 64 * 1024;
    private const int None = 0;
    private const int ReadWrite = 1 | 2;
    private const int PrivateAnonymousStack = 0x02 | 0x20 | 0x20000;
    private const int Disabled = 2; // SS_DISABLE

    [ThreadStatic]
    private static bool isLarge;

    /// <summary>Makes room on this thread, once.</summary>
    /// <exception cref="OutOfMemoryException">The system gives none.</exception>
    public static void Ensure()
    {
        if (!isLarge)
            Enlarge();
    }

    // As the runtime lays out its own: it frees this one when the thread ends, and what it had is freed here as it would have been there.
    private static void Enlarge()
    {
        var memory = Map(0, Bytes, ReadWrite, PrivateAnonymousStack, -1, 0);
        if (memory == -1)
            throw new OutOfMemoryException("no memory for a signal stack");
        _ = Protect(memory, (nuint)Environment.SystemPageSize, None); // what runs over is seen
        var next = new Stack { Address = memory, Size = Bytes };
        Stack before;
        if (Replace(&next, &before) != 0)
            throw new OutOfMemoryException("the system refuses a signal stack");
        if ((before.Flags & Disabled) == 0 && before.Size != 0)
            _ = Unmap(before.Address, before.Size);
        isLarge = true;
    }

    // stack_t
    [StructLayout(LayoutKind.Sequential)]
    private struct Stack
    {
        public nint Address;
        public int Flags;
        public nuint Size;
    }

    [LibraryImport("libc", EntryPoint = "sigaltstack", SetLastError = true)]
    private static partial int Replace(Stack* next, Stack* before);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Unmap(nint address, nuint length);
}
