using System.Runtime.InteropServices;

namespace KdServing.Serving.Models;

/// <summary>Floats outside the garbage collector's heap, aligned to a cache line, grown in powers of two and never shrunk.</summary>
/// <remarks>One thread at a time. Growing loses the content.</remarks>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const int Alignment = 64;

    ~NativeBuffer() => Free();

    public nint Address { get; private set; }

    public long Bytes { get; private set; }

    public float* Floats => (float*)Address;

    public long* Longs => (long*)Address;

    /// <summary>Makes room.</summary>
    /// <returns>True when the address changed.</returns>
    public bool Reserve(long bytes)
    {
        if (bytes <= Bytes)
            return false;
        var grown = checked((nuint)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)Math.Max(bytes, Alignment)));
        Free();
        Address = (nint)NativeMemory.AlignedAlloc(grown, Alignment);
        NativeMemory.Clear((void*)Address, grown);
        Bytes = (long)grown;
        return true;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree((void*)Address);
        (Address, Bytes) = (0, 0);
    }
}
