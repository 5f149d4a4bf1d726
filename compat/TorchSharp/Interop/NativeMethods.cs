using System.Reflection;
using System.Runtime.InteropServices;

namespace TorchSharp.Interop;

/// <summary>The C functions of native/*.cpp. Those that return an int return non-zero when an error waits in <see cref="kd_last_error"/>.</summary>
internal static unsafe partial class NativeMethods
{
    private const string Library = "kdtorch";

    static NativeMethods() => NativeLibrary.SetDllImportResolver(typeof(NativeMethods).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (name != Library)
            return 0;
        var beside = Path.Combine(AppContext.BaseDirectory, "libkdtorch.so");
        try
        {
            return NativeLibrary.Load(File.Exists(beside) ? beside : "libkdtorch.so", assembly, path);
        }
        catch (DllNotFoundException e)
        {
            throw new DllNotFoundException(
                $"libkdtorch.so (looked for at {beside}) or the libtorch behind it could not be loaded. Run './kd setup', or " +
                $"'apt-get install libtorch-dev libopenblas0-pthread' and rebuild. The loader says: {e.Message}", e);
        }
    }

    /// <summary>Throws what libtorch said, as the real package does.</summary>
    internal static void Check(int failed)
    {
        if (failed != 0)
            throw new ExternalException(Marshal.PtrToStringUTF8(kd_last_error()));
    }

    [LibraryImport(Library)] private static partial nint kd_last_error();
    [LibraryImport(Library)] internal static partial long kd_live_tensors();
    [LibraryImport(Library)] internal static partial nint kd_libtorch_version();

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int kd_operator(string name, string overload, out nint op);
    [LibraryImport(Library)]
    internal static partial int kd_call(nint op, NativeValue* arguments, int count, int discard, out NativeValue* results, out int resultCount);

    [LibraryImport(Library)] internal static partial void kd_tensor_free(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_alias(nint tensor, out nint result);
    [LibraryImport(Library)] internal static partial int kd_tensor_dim(nint tensor);
    [LibraryImport(Library)] internal static partial long kd_tensor_numel(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_dtype(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_element_size(nint tensor);
    [LibraryImport(Library)] internal static partial void kd_tensor_device(nint tensor, out int type, out int index);
    [LibraryImport(Library)] internal static partial int kd_tensor_sizes(nint tensor, long* shape, long* strides);
    [LibraryImport(Library)] internal static partial int kd_tensor_data(nint tensor, out nint data);
    [LibraryImport(Library)] internal static partial long kd_tensor_storage_offset(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_is_contiguous(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_is_leaf(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_is_sparse(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_requires_grad(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_set_requires_grad(nint tensor, int on);
    [LibraryImport(Library)] internal static partial int kd_tensor_retain_grad(nint tensor);
    [LibraryImport(Library)] internal static partial int kd_tensor_grad(nint tensor, out nint grad);
    [LibraryImport(Library)] internal static partial int kd_tensor_set_grad(nint tensor, nint grad);
    [LibraryImport(Library)] internal static partial int kd_tensor_set_data(nint tensor, nint source);
    [LibraryImport(Library)] internal static partial int kd_tensor_from_host(void* data, long bytes, long* shape, int dim, int dtype, out nint result);
    [LibraryImport(Library)]
    internal static partial int kd_tensor_from_blob(void* data, long* shape, int dim, int dtype, delegate* unmanaged<nint, void> release, nint context, out nint result);

    [LibraryImport(Library)]
    internal static partial int kd_backward(nint* tensors, int count, nint* gradients, int retain, int create, nint* inputs, int inputCount);
    [LibraryImport(Library)]
    internal static partial int kd_grad(nint* outputs, int outputCount, nint* inputs, int inputCount, nint* gradients, int retain, int create, int allowUnused, nint* results);
    [LibraryImport(Library)] internal static partial int kd_grad_enabled();
    [LibraryImport(Library)] internal static partial void kd_set_grad_enabled(int on);
    [LibraryImport(Library)] internal static partial int kd_manual_seed(long seed);
    [LibraryImport(Library)] internal static partial int kd_set_num_threads(int count);
    [LibraryImport(Library)] internal static partial int kd_get_num_threads();
    [LibraryImport(Library)] internal static partial int kd_set_num_interop_threads(int count);
    [LibraryImport(Library)] internal static partial int kd_get_num_interop_threads();
    [LibraryImport(Library)] internal static partial int kd_cuda_device_count();
    [LibraryImport(Library)] internal static partial int kd_cuda_synchronize(long device);

    [LibraryImport(Library)]
    internal static partial int kd_adam_step(nint* parameters, nint* grads, nint* averages, nint* squares, nint* maxSquares, long* steps, int count,
        double lr, double beta1, double beta2, double eps, double decay, int decoupled, int maximize);
    [LibraryImport(Library)]
    internal static partial int kd_sgd_step(nint* parameters, nint* grads, nint* momenta, long* steps, int count,
        double lr, double momentum, double dampening, double decay, int nesterov, int maximize);
    [LibraryImport(Library)]
    internal static partial int kd_adagrad_step(nint* parameters, nint* grads, nint* sums, long* steps, int count,
        double lr, double lrDecay, double decay, double eps);
    [LibraryImport(Library)]
    internal static partial int kd_clip_grad_norm(nint* parameters, int count, double maxNorm, double normType, out double total);
}
