using System.Globalization;
using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;
using SessionOptions = Microsoft.ML.OnnxRuntime.SessionOptions;

namespace KdServing.Serving.Accelerators;

/// <summary>One GPU by CUDA: ONNX Runtime's execution provider, and the CUDA runtime for memory and streams.</summary>
internal sealed class CudaAccelerator : Accelerator
{
    private const int Device = 0;

    [ThreadStatic]
    private static bool isThreadReady;

    private readonly Func<SessionOptions> newOptions;
    private readonly CudaGather gather;

    /// <param name="newOptions">Options of every session of the server.</param>
    /// <exception cref="AcceleratorException">No GPU, or its driver does not work.</exception>
    /// <exception cref="DllNotFoundException">The CUDA runtime is not installed.</exception>
    public CudaAccelerator(Func<SessionOptions> newOptions, bool replaysRuns)
    {
        this.newOptions = newOptions;
        ReplaysRuns = replaysRuns;
        EnterThread();
        gather = new();
        // Throws where this ONNX Runtime has no such provider, before anything is loaded.
        var stream = NewStream();
        NewOptions(stream).Dispose();
        FreeStream(stream);
    }

    public override string Name => "cuda";

    public override OrtMemoryInfo Memory { get; } = new(OrtMemoryInfo.allocatorCUDA, OrtAllocatorType.DeviceAllocator, Device, OrtMemType.Default);

    public override bool ReplaysRuns { get; }

    public override nint Allocate(long bytes)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.Malloc(out var address, (nuint)bytes), $"cudaMalloc of {bytes} bytes");
        return address;
    }

    public override void Free(nint address)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.Free(address), "cudaFree");
    }

    public override nint AllocateHost(long bytes)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.HostAlloc(out var address, (nuint)bytes, flags: 0), $"cudaHostAlloc of {bytes} bytes");
        return address;
    }

    public override void FreeHost(nint address)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.FreeHost(address), "cudaFreeHost");
    }

    public override nint NewStream()
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.StreamCreate(out var stream, CudaRuntime.NonBlockingStream), "cudaStreamCreateWithFlags");
        return stream;
    }

    public override void FreeStream(nint stream)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.StreamDestroy(stream), "cudaStreamDestroy");
    }

    public override void Copy(nint to, nint from, long bytes, nint stream)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.CopyAsync(to, from, (nuint)bytes, CudaRuntime.CopyDefault, stream), "cudaMemcpyAsync");
    }

    public override void Clear(nint address, long bytes, nint stream)
    {
        EnterThread();
        CudaRuntime.Require(CudaRuntime.SetAsync(address, 0, (nuint)bytes, stream), "cudaMemsetAsync");
    }

    public override void GatherRows(nint addresses, int rows, int width, ItemVectorFormat format, nint to, nint stream)
    {
        EnterThread();
        gather.Queue(addresses, rows, width, format, to, stream);
    }

    public override void Synchronize(nint stream) => CudaRuntime.Require(CudaRuntime.StreamSynchronize(stream), "cudaStreamSynchronize");

    public override SessionOptions NewOptions(nint stream)
    {
        var options = newOptions();
        using var cuda = new OrtCUDAProviderOptions();
        cuda.UpdateOptions(new()
        {
            ["device_id"] = Device.ToString(CultureInfo.InvariantCulture),
            ["has_user_compute_stream"] = "1",
            ["user_compute_stream"] = stream.ToString(CultureInfo.InvariantCulture),
            ["enable_cuda_graph"] = ReplaysRuns ? "1" : "0",
            // Scores agree with the trainer's to 1e-4 of a logit; products of 10-bit mantissas do not.
            ["use_tf32"] = "0",
        });
        options.AppendExecutionProvider_CUDA(cuda);
        return options;
    }

    public override void Dispose() => Memory.Dispose();

    private static void EnterThread()
    {
        if (isThreadReady)
            return;
        CudaRuntime.Require(CudaRuntime.SetDevice(Device), "cudaSetDevice");
        // A run is captured in the mode that forbids some calls of all threads; those of this one have nothing to do with others' streams.
        var mode = CudaRuntime.ThreadLocalCapture;
        CudaRuntime.Require(CudaRuntime.ExchangeCaptureMode(ref mode), "cudaThreadExchangeStreamCaptureMode");
        isThreadReady = true;
    }
}
