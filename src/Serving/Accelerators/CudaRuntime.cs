using System.Runtime.InteropServices;

namespace KdServing.Serving.Accelerators;

/// <summary>The few calls of the CUDA runtime that are needed beside ONNX Runtime, https://docs.nvidia.com/cuda/cuda-runtime-api.</summary>
internal static partial class CudaRuntime
{
    /// <summary>A copy whose direction the addresses tell.</summary>
    public const int CopyDefault = 4;

    /// <summary>A stream that does not wait for the default one.</summary>
    public const uint NonBlockingStream = 1;

    /// <summary>Calls are forbidden while the same thread captures, not while another one does.</summary>
    public const int ThreadLocalCapture = 1;

    /// <summary>As the loader is asked for it; <see cref="Names"/> are the files.</summary>
    public const string Library = "cudart";

    // The one ONNX Runtime's provider is linked with must be there; newest first.
    private static readonly string[] Names = ["libcudart.so.13", "libcudart.so.12", "libcudart.so"];

    static CudaRuntime() => NativeLibrary.SetDllImportResolver(typeof(CudaRuntime).Assembly, static (name, assembly, path) =>
    {
        if (name != Library)
            return 0;
        foreach (var candidate in Names)
        {
            if (NativeLibrary.TryLoad(candidate, assembly, path, out var handle))
                return handle;
        }
        return 0;
    });

    /// <exception cref="AcceleratorException">A call failed; <paramref name="call"/> says which.</exception>
    public static void Require(int status, string call)
    {
        if (status != 0)
            throw new AcceleratorException($"CUDA: {call}: {Marshal.PtrToStringUTF8(ErrorString(status))} ({status})");
    }

    [LibraryImport(Library, EntryPoint = "cudaSetDevice")]
    public static partial int SetDevice(int device);

    [LibraryImport(Library, EntryPoint = "cudaMalloc")]
    public static partial int Malloc(out nint address, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cudaFree")]
    public static partial int Free(nint address);

    [LibraryImport(Library, EntryPoint = "cudaHostAlloc")]
    public static partial int HostAlloc(out nint address, nuint bytes, uint flags);

    [LibraryImport(Library, EntryPoint = "cudaFreeHost")]
    public static partial int FreeHost(nint address);

    [LibraryImport(Library, EntryPoint = "cudaMemcpyAsync")]
    public static partial int CopyAsync(nint to, nint from, nuint bytes, int kind, nint stream);

    [LibraryImport(Library, EntryPoint = "cudaMemsetAsync")]
    public static partial int SetAsync(nint address, int value, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cudaStreamCreateWithFlags")]
    public static partial int StreamCreate(out nint stream, uint flags);

    [LibraryImport(Library, EntryPoint = "cudaStreamDestroy")]
    public static partial int StreamDestroy(nint stream);

    [LibraryImport(Library, EntryPoint = "cudaStreamSynchronize")]
    public static partial int StreamSynchronize(nint stream);

    [LibraryImport(Library, EntryPoint = "cudaThreadExchangeStreamCaptureMode")]
    public static partial int ExchangeCaptureMode(ref int mode);

    [LibraryImport(Library, EntryPoint = "cudaGetErrorString")]
    private static partial nint ErrorString(int status);
}
