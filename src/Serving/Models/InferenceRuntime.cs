using System.Globalization;
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
    /// <summary>Environment variable naming a CUDA plug-in execution provider library; unset: the provider beside ONNX Runtime.</summary>
    public const string CudaLibraryVariable = "KD_CUDA_PROVIDER";

    /// <summary><see cref="Device"/> of graphs that run on the processor.</summary>
    public const string CpuDevice = "cpu";

    /// <summary><see cref="Device"/> of graphs that run on a GPU.</summary>
    public const string CudaDevice = "cuda";

    private const string CudaRegistration = "kd_cuda";

    private readonly SessionOptions options;
    private readonly SharedSessions shared;

    private InferenceRuntime(string device, string reason, SessionOptions options)
    {
        shared = new(OpenSession);
        Device = device;
        Reason = reason;
        this.options = options;
    }

    /// <summary><see cref="CpuDevice"/> or <see cref="CudaDevice"/>.</summary>
    public string Device { get; }

    /// <summary>Why this device.</summary>
    public string Reason { get; }

    /// <summary>Sets ONNX Runtime up.</summary>
    /// <exception cref="InferenceRuntimeException">The native library is missing, or the device asked for does not work; says what is missing.</exception>
    public static InferenceRuntime Open(InferenceDevice device)
    {
        var version = NativeVersion();
        if (device == InferenceDevice.Cpu)
            return new(CpuDevice, $"asked for; ONNX Runtime {version}", NewOptions());
        var options = NewOptions();
        try
        {
            return new(CudaDevice, AppendCuda(options), options);
        }
        catch (Exception e) when (e is OnnxRuntimeException or EntryPointNotFoundException or DllNotFoundException or InferenceRuntimeException)
        {
            options.Dispose();
            if (device == InferenceDevice.Cuda)
                throw new InferenceRuntimeException($"--device cuda: {FirstLine(e)}. Install a CUDA build of ONNX Runtime (with its CUDA and cuDNN libraries) or name a plug-in provider in {CudaLibraryVariable}; --device cpu works without", e);
            return new(CpuDevice, $"CUDA does not work here: {FirstLine(e)}", NewOptions());
        }
    }

    /// <summary>Opens a graph from a buffer that has been verified and scanned.</summary>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses it.</exception>
    internal InferenceSession OpenSession(byte[] graph) => new(graph, options);

    /// <summary>Opens a graph from a buffer that has been verified and scanned.</summary>
    /// <param name="shares">In a session that versions of the same shape share, where that can be: microseconds instead of milliseconds, and slower to run.</param>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime refuses it.</exception>
    internal OpenGraph OpenGraph(byte[] graph, bool shares) =>
        shares && WeightlessGraph.Of(graph) is { } weightless ? shared.Open(weightless) : new(OpenSession(graph));

    public void Dispose() => options.Dispose();

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

    private static string AppendCuda(SessionOptions options)
    {
        if (Environment.GetEnvironmentVariable(CudaLibraryVariable) is not { Length: > 0 } library)
        {
            options.AppendExecutionProvider_CUDA(0);
            return "CUDA execution provider, device 0";
        }
        if (!File.Exists(library))
            throw new InferenceRuntimeException($"{CudaLibraryVariable} names a file that does not exist", null);
        var environment = OrtEnv.Instance();
        environment.RegisterExecutionProviderLibrary(CudaRegistration, library);
        var devices = environment.GetEpDevices()
            .Where(d => d.EpName.Contains("cuda", StringComparison.OrdinalIgnoreCase) || d.EpName == CudaRegistration)
            .Take(1).ToList();
        if (devices.Count == 0)
            throw new InferenceRuntimeException($"the provider library of {CudaLibraryVariable} offers no CUDA device", null);
        options.AppendExecutionProvider(environment, devices, new Dictionary<string, string>());
        return string.Create(CultureInfo.InvariantCulture, $"plug-in execution provider {devices[0].EpName}");
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

    private static string FirstLine(Exception e) => e is EntryPointNotFoundException
        ? "this ONNX Runtime is built for the CPU only; it has no CUDA execution provider"
        : e.Message.Split('\n', 2)[0].TrimEnd('.', ' ');
}

/// <summary>ONNX Runtime or its device is not there; the message says what to do.</summary>
public sealed class InferenceRuntimeException(string message, Exception? inner) : Exception(message, inner);
