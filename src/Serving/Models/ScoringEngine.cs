using KdServing.Serving.Kernels;

namespace KdServing.Serving.Models;

/// <summary>What computes a version's scores.</summary>
internal enum ScoringEngine
{
    /// <summary>The version's graphs in ONNX Runtime.</summary>
    OnnxRuntime,

    /// <summary><see cref="StudentKernel"/> on the processor's vectors.</summary>
    Kernel,

    /// <summary>The same with half the multiplications, <see cref="PairTiles"/>.</summary>
    PairKernel,

    /// <summary><see cref="StudentKernel"/> on the processor's matrix unit.</summary>
    MatrixKernel,

    /// <summary>A device with memory of its own, <see cref="Accelerators.DeviceVersion"/>.</summary>
    Device,
}

/// <summary>Which engine is which way of the kernel to multiply.</summary>
internal static class ScoringEngines
{
    /// <summary>The fastest that this machine has for a version of a family that there is a kernel for.</summary>
    public static ScoringEngine FastestKernel => StudentKernel.FastestProducts switch
    {
        KernelProducts.MatrixUnit => ScoringEngine.MatrixKernel,
        KernelProducts.Pairs => ScoringEngine.PairKernel,
        _ => ScoringEngine.Kernel,
    };

    public static KernelProducts Products(this ScoringEngine engine) => engine switch
    {
        ScoringEngine.MatrixKernel => KernelProducts.MatrixUnit,
        ScoringEngine.PairKernel => KernelProducts.Pairs,
        _ => KernelProducts.Plain,
    };
}
