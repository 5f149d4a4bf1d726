using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;
using SessionOptions = Microsoft.ML.OnnxRuntime.SessionOptions;

namespace KdServing.Serving.Accelerators;

/// <summary>A device with memory of its own: how to keep data there, and how ONNX Runtime computes there. Any thread.</summary>
/// <remarks>
/// Copies and work are queued on streams, in order; <see cref="Synchronize"/> waits for a stream. Whatever is not a copy between page-locked and
/// device memory or a replay (allocations, first runs, captures) happens under <see cref="Setup"/>: a capture on one thread forbids such calls on all.
/// </remarks>
internal abstract class Accelerator : IDisposable
{
    /// <summary>One thread at a time sets things up.</summary>
    public Lock Setup { get; } = new();

    /// <summary>As logs and the status page name it.</summary>
    public abstract string Name { get; }

    /// <summary>Where tensors in device memory are, for ONNX Runtime.</summary>
    public abstract OrtMemoryInfo Memory { get; }

    /// <summary>Whether runs of a session can be captured and replayed: inputs then keep their addresses and shapes.</summary>
    public abstract bool ReplaysRuns { get; }

    /// <exception cref="AcceleratorException">There is not so much free memory.</exception>
    public abstract nint Allocate(long bytes);

    public abstract void Free(nint address);

    /// <summary>Memory of the host that the device copies from and to without the processor's help.</summary>
    /// <exception cref="AcceleratorException">There is not so much free memory.</exception>
    public abstract nint AllocateHost(long bytes);

    public abstract void FreeHost(nint address);

    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public abstract nint NewStream();

    public abstract void FreeStream(nint stream);

    /// <summary>Queues a copy; addresses may be of the device or of <see cref="AllocateHost"/>.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public abstract void Copy(nint to, nint from, long bytes, nint stream);

    /// <summary>Queues zeros for device memory.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public abstract void Clear(nint address, long bytes, nint stream);

    /// <summary>Queues the copy of rows from anywhere into a matrix of floats.</summary>
    /// <param name="addresses">[rows] int64 in device memory: addresses of the device or of <see cref="AllocateHost"/>.</param>
    /// <param name="to">float32 [rows, <paramref name="width"/>].</param>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public abstract void GatherRows(nint addresses, int rows, int width, ItemVectorFormat format, nint to, nint stream);

    /// <exception cref="AcceleratorException">Something queued has failed.</exception>
    public abstract void Synchronize(nint stream);

    /// <summary>Options of a session that computes on a stream. The caller frees them.</summary>
    public abstract SessionOptions NewOptions(nint stream);

    public abstract void Dispose();
}

/// <summary>A device has no more memory, or does not work.</summary>
internal sealed class AcceleratorException(string message) : Exception(message);
