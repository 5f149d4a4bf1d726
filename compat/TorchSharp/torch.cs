using TorchSharp.Interop;

namespace TorchSharp;

/// <summary>PyTorch's <c>torch</c> module: functions on tensors and settings of the process.</summary>
public static partial class torch
{
    private static ScalarType default_dtype = ScalarType.Float32;
    private static Device default_device = CPU;

    /// <summary>The libtorch this process runs on.</summary>
    public static string __version__ => System.Runtime.InteropServices.Marshal.PtrToStringUTF8(NativeMethods.kd_libtorch_version())!;

    public static ScalarType get_default_dtype() => default_dtype;

    public static Device get_default_device() => default_device;

    /// <summary>Opens a scope that disposes, at its end, what was created on this thread inside it.</summary>
    public static DisposeScope NewDisposeScope() => DisposeScopeManager.ThreadSingleton.NewDisposeScope();

    public static IDisposable WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        var scope = NewDisposeScope();
        expr().MoveToOuterDisposeScope();
        return scope;
    }

    /// <summary>Seeds libtorch's generators of the process; the same seed gives the same numbers on the same machine.</summary>
    public static Generator manual_seed(long seed)
    {
        NativeMethods.Check(NativeMethods.kd_manual_seed(seed));
        return new Generator(seed);
    }

    /// <summary>Threads one operator may use.</summary>
    public static void set_num_threads(int num) => NativeMethods.Check(NativeMethods.kd_set_num_threads(num));

    public static int get_num_threads() => NativeMethods.kd_get_num_threads();

    public static void set_num_interop_threads(int num) => NativeMethods.Check(NativeMethods.kd_set_num_interop_threads(num));

    public static int get_num_interop_threads() => NativeMethods.kd_get_num_interop_threads();

    public static bool is_integral(ScalarType type) => type is ScalarType.Byte or ScalarType.Int8 or ScalarType.Int16 or ScalarType.Int32 or ScalarType.Int64 or ScalarType.Bool;

    public static bool is_floating_point(ScalarType type) => type is ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;

    public static bool is_complex(ScalarType type) => type is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64;

    public static bool cuda_is_available() => cuda.is_available();

    public static int cuda_device_count() => cuda.device_count();

    public static class cuda
    {
        /// <summary>Whether this libtorch is a CUDA build and sees a device.</summary>
        public static bool is_available() => device_count() > 0;

        public static int device_count() => NativeMethods.kd_cuda_device_count();

        public static void synchronize(Device? device = null) => NativeMethods.Check(NativeMethods.kd_cuda_synchronize(device?.index ?? -1));
    }

    /// <summary>What <see cref="manual_seed"/> seeded.</summary>
    public class Generator : IDisposable
    {
        internal Generator(long seed) => initial_seed = seed;

        public long initial_seed { get; }

        public void Dispose() => GC.SuppressFinalize(this);
    }
}
