using KdServing.Serving.Accelerators;
using Microsoft.ML.OnnxRuntime;
using SessionOptions = Microsoft.ML.OnnxRuntime.SessionOptions;

namespace KdServing.Serving.Models;

/// <summary>Where graphs run.</summary>
public enum InferenceDevice
{
    Cpu,
    Cuda,

    /// <summary>CUDA if it works, else the CPU; the log says which and why.</summary>
    Auto,
}

/// <summary>ONNX Runtime, set up once a process: the device, and how sessions are opened on it.</summary>
/// <remarks>
/// A session computes on the thread that calls it: one intra-op thread, no spinning. Throughput comes from many requests at a
/// time; a pool of ONNX Runtime's own would only compete with them.
/// </remarks>
public sealed class InferenceRuntime : IDisposable
{
    /// <summary><see cref="Device"/> when the processor scores.</summary>
    public const string CpuDevice = "cpu";

    /// <summary><see cref="Device"/> when a GPU scores.</summary>
    public const string CudaDevice = "cuda";

    private readonly SessionOptions options;
    private readonly SharedSessions shared;

    private InferenceRuntime(string reason, DeviceModels? devices)
    {
        shared = new(OpenSession);
        options = NewOptions();
        Reason = reason;
        Devices = devices;
    }

    /// <summary><see cref="CpuDevice"/> or <see cref="CudaDevice"/>.</summary>
    public string Device => Devices is null ? CpuDevice : CudaDevice;

    /// <summary>Why this device.</summary>
    public string Reason { get; }

    /// <summary>The versions on a device with memory of its own; null: the processor scores.</summary>
    internal DeviceModels? Devices { get; }

    /// <summary>Sets ONNX Runtime up.</summary>
    /// <exception cref="InferenceRuntimeException">The native library is missing, or the device asked for does not work; says what is missing.</exception>
    public static InferenceRuntime Open(InferenceDevice device, DeviceOptions? deviceOptions = null)
    {
        var version = NativeVersion();
        if (device == InferenceDevice.Cpu)
            return new($"asked for; ONNX Runtime {version}", devices: null);
        var chosen = deviceOptions ?? new();
        try
        {
            var cuda = new CudaAccelerator(NewOptions, chosen.ReplaysRuns);
            return new($"CUDA execution provider, device 0; ONNX Runtime {version}", new(cuda, chosen));
        }
        catch (Exception e) when (e is OnnxRuntimeException or EntryPointNotFoundException or DllNotFoundException or AcceleratorException)
        {
            if (device == InferenceDevice.Cuda)
                throw new InferenceRuntimeException($"--device cuda: {FirstLine(e)}. A server for a GPU is built with -p:OnnxRuntimeSource=nuget, and finds CUDA 13 and cuDNN 9 on its library path (README); --device cpu works without", e);
            return new($"CUDA does not work here: {FirstLine(e)}", devices: null);
        }
    }

    /// <summary>One whose versions are on a device of a test.</summary>
    internal static InferenceRuntime On(Accelerator accelerator, DeviceOptions options) => new(accelerator.Name, new(accelerator, options));

    /// <summary>Opens a graph from a buffer that has been verified and scanned.</summary>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses it.</exception>
    internal InferenceSession OpenSession(byte[] graph) => new(graph, options);

    /// <summary>Opens a graph from a buffer that has been verified and scanned.</summary>
    /// <param name="shares">In a session that versions of the same shape share, where that can be: microseconds instead of milliseconds, and slower to run.</param>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses it.</exception>
    internal OpenGraph OpenGraph(byte[] graph, bool shares) =>
        shares && WeightlessGraph.Of(graph) is { } weightless ? shared.Open(weightless) : new(OpenSession(graph));

    public void Dispose()
    {
        Devices?.Dispose();
        options.Dispose();
    }

    private static string NativeVersion()
    {
        try
        {
            return OrtEnv.Instance().GetVersionString();
        }
        catch (Exception e) when (e is DllNotFoundException or TypeInitializationException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw new InferenceRuntimeException($"ONNX Runtime's native library (libonnxruntime.so) does not load: {FirstLine(e.GetBaseException())}. Run ./kd setup, or put the library beside the program", e);
        }
    }

    private static SessionOptions NewOptions()
    {
        var options = new SessionOptions
        {
            IntraOpNumThreads = 1,
            InterOpNumThreads = 1,
            ExecutionMode = ExecutionMode.ORT_SEQUENTIAL,
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0");
        options.AddSessionConfigEntry("session.inter_op.allow_spinning", "0");
        return options;
    }

    private static string FirstLine(Exception e) => e switch
    {
        EntryPointNotFoundException => "this ONNX Runtime is built for the CPU only; it has no CUDA execution provider",
        DllNotFoundException when e.Message.Contains(CudaRuntime.Library, StringComparison.Ordinal) => "the CUDA runtime (libcudart.so.13 or .12) is not on the library path",
        _ => e.Message.Split('\n', 2)[0].TrimEnd('.', ' '),
    };
}

/// <summary>ONNX Runtime or its device is not there; the message says what to do.</summary>
public sealed class InferenceRuntimeException(string message, Exception? inner) : Exception(message, inner);
