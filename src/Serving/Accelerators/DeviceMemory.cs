namespace KdServing.Serving.Accelerators;

/// <summary>A block of a device's memory, or of page-locked memory of the host; grown in powers of two, never shrunk. One thread at a time.</summary>
/// <param name="isOnHost">Page-locked memory of the host.</param>
internal sealed class DeviceMemory(Accelerator accelerator, bool isOnHost = false) : IDisposable
{
    public nint Address { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Makes room. Growing loses the content.</summary>
    /// <returns>True when the address changed.</returns>
    /// <exception cref="AcceleratorException">There is not so much free memory.</exception>
    public unsafe bool Reserve(long bytes)
    {
        if (bytes <= Bytes)
            return false;
        var grown = checked((long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)Math.Max(bytes, 256)));
        // Tables are large, and made to measure.
        if (grown > 64 << 20)
            grown = bytes;
        Free();
        lock (accelerator.Setup)
            Address = isOnHost ? accelerator.AllocateHost(grown) : accelerator.Allocate(grown);
        if (isOnHost)
            System.Runtime.InteropServices.NativeMemory.Clear((void*)Address, (nuint)grown);
        Bytes = grown;
        return true;
    }

    public void Dispose() => Free();

    private void Free()
    {
        if (Bytes == 0)
            return;
        lock (accelerator.Setup)
        {
            if (isOnHost)
                accelerator.FreeHost(Address);
            else
                accelerator.Free(Address);
        }
        (Address, Bytes) = (0, 0);
    }
}
