using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>The processor's unit for products of whole tiles: Intel AMX with bfloat16 operands and float32 sums.</summary>
/// <remarks>
/// .NET 10 has no intrinsics for it, so its few instructions are written out by <see cref="MatrixTileProgram"/>. Linux gives a process
/// the unit's registers, 8 KiB a thread, only when asked. https://docs.kernel.org/arch/x86/xstate.html
/// </remarks>
internal static partial class MatrixUnit
{
    private const int ArchPrctl = 158; // of x86-64's system calls
    private const int RequestPermission = 0x1023; // ARCH_REQ_XCOMP_PERM
    private const int TileData = 18; // XFEATURE_XTILEDATA
    private const int Bfloat16Bit = 22;
    private const int TileBit = 24;

    /// <summary>The processor has it and the kernel lets this process use it.</summary>
    public static bool IsSupported { get; } = OperatingSystem.IsLinux() && HasInstructions() && SystemCall(ArchPrctl, RequestPermission, TileData) == 0;

    // Beside it, the halves of a number are made by AVX-512.
    private static bool HasInstructions()
    {
        if (!Avx512F.IsSupported || !X86Base.X64.IsSupported)
            return false;
        var features = X86Base.CpuId(7, 0).Edx;
        return ((features >> Bfloat16Bit) & (features >> TileBit) & 1) != 0;
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial long SystemCall(long number, long code, long feature);
}
