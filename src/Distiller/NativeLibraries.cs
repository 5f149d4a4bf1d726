using Microsoft.ML.OnnxRuntime;

namespace KdServing.Distiller;

/// <summary>What is not managed code: libtorch trains, ONNX Runtime checks each version before it is published.</summary>
public static class NativeLibraries
{
    /// <summary>Loads both now: a library that lacks must not show at the first publish, minutes later.</summary>
    /// <param name="threads">Threads libtorch computes with.</param>
    /// <exception cref="DllNotFoundException">One does not load; says which and what to do.</exception>
    public static void Require(int threads)
    {
        TorchSharp.torch.set_num_threads(threads);
        try
        {
            _ = OrtEnv.Instance().GetVersionString();
        }
        catch (Exception e) when (e is TypeInitializationException or DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw new DllNotFoundException(
                "ONNX Runtime's native library (libonnxruntime.so) does not load. Run ./kd setup, or put the library beside the program", e);
        }
    }
}
