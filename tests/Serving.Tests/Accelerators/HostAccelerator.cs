using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Tests.Accelerators;

/// <summary>A device that is the processor: memory nobody else writes, and ONNX Runtime's own kernels on it.</summary>
/// <remarks>Fresh memory holds NaN, and row -1: what reads a place that was not written fails.</remarks>
internal sealed unsafe class HostAccelerator : Accelerator
{
    private readonly ConcurrentDictionary<nint, long> blocks = new();
    private int streams;

    /// <summary>Allocations fail that would go beyond this.</summary>
    public long Capacity { get; set; } = long.MaxValue;

    /// <summary>Every copy fails, as after an error of the device.</summary>
    public bool IsBroken { get; set; }

    /// <summary>As <see cref="IsBroken"/>, for copies back from the device.</summary>
    public bool KeepsResults { get; set; }

    /// <summary>Device memory in use.</summary>
    public long Bytes => blocks.Values.Sum();

    public int Streams => streams;

    /// <summary>Bytes copied from page-locked memory to the device and back since the last call.</summary>
    public long TakeCopied() => Interlocked.Exchange(ref copied, 0);

    private long copied;

    public override string Name => "host";

    public override OrtMemoryInfo Memory => OrtMemoryInfo.DefaultInstance;

    public override bool ReplaysRuns => false;

    public override nint Allocate(long bytes)
    {
        if (Bytes + bytes > Capacity)
            throw new AcceleratorException($"no room for {bytes} bytes");
        var address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 256);
        NativeMemory.Fill((void*)address, (nuint)bytes, 0xFF);
        blocks[address] = bytes;
        return address;
    }

    public override void Free(nint address)
    {
        Assert.True(blocks.TryRemove(address, out _));
        NativeMemory.AlignedFree((void*)address);
    }

    public override nint AllocateHost(long bytes) => (nint)NativeMemory.AlignedAlloc((nuint)bytes, 256);

    public override void FreeHost(nint address) => NativeMemory.AlignedFree((void*)address);

    public override nint NewStream() => Interlocked.Increment(ref streams);

    public override void FreeStream(nint stream) => Interlocked.Decrement(ref streams);

    public override void Copy(nint to, nint from, long bytes, nint stream)
    {
        if (IsBroken || (KeepsResults && blocks.ContainsKey(from) && !blocks.ContainsKey(to)))
            throw new AcceleratorException("the device fell off");
        Buffer.MemoryCopy((void*)from, (void*)to, bytes, bytes);
        if (!blocks.ContainsKey(from))
            Interlocked.Add(ref copied, bytes);
    }

    public override void Clear(nint address, long bytes, nint stream) => NativeMemory.Clear((void*)address, (nuint)bytes);

    public override void GatherRows(nint addresses, int rows, int width, ItemVectorFormat format, nint to, nint stream)
    {
        for (var r = 0; r < rows; r++)
        {
            for (var d = 0; d < width; d++)
            {
                var row = ((nint*)addresses)[r];
                ((float*)to)[r * width + d] = format == ItemVectorFormat.Float32 ? ((float*)row)[d] : BitConverter.UInt32BitsToSingle((uint)((ushort*)row)[d] << 16);
            }
        }
    }

    public override void Synchronize(nint stream)
    {
    }

    public override SessionOptions NewOptions(nint stream) => new() { IntraOpNumThreads = 1, InterOpNumThreads = 1 };

    public override void Dispose()
    {
    }
}
