using TorchSharp.Interop;

namespace TorchSharp;

// Tensors from .NET values. Always a copy; `dimensions` is row-major.
public static partial class torch
{
    public static Tensor tensor(float scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Float32, null, device, requires_grad);

    public static Tensor tensor(float[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<float>(rawArray, [rawArray.LongLength], ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(float[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<float>(rawArray, dimensions, ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(IList<float> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<float>([.. rawArray], dimensions, ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(IList<float> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<float>([.. rawArray], [rows, columns], ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(float[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(Memory<float> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<float>(rawArray.Span, dimensions, ScalarType.Float32, dtype, device, requires_grad);

    public static Tensor tensor(double scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Float64, null, device, requires_grad);

    public static Tensor tensor(double[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<double>(rawArray, [rawArray.LongLength], ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(double[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<double>(rawArray, dimensions, ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(IList<double> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<double>([.. rawArray], dimensions, ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(IList<double> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<double>([.. rawArray], [rows, columns], ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(double[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(Memory<double> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<double>(rawArray.Span, dimensions, ScalarType.Float64, dtype, device, requires_grad);

    public static Tensor tensor(long scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Int64, null, device, requires_grad);

    public static Tensor tensor(long[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<long>(rawArray, [rawArray.LongLength], ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(long[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<long>(rawArray, dimensions, ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(IList<long> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<long>([.. rawArray], dimensions, ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(IList<long> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<long>([.. rawArray], [rows, columns], ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(long[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(Memory<long> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<long>(rawArray.Span, dimensions, ScalarType.Int64, dtype, device, requires_grad);

    public static Tensor tensor(int scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Int32, null, device, requires_grad);

    public static Tensor tensor(int[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<int>(rawArray, [rawArray.LongLength], ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(int[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<int>(rawArray, dimensions, ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(IList<int> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<int>([.. rawArray], dimensions, ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(IList<int> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<int>([.. rawArray], [rows, columns], ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(int[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(Memory<int> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<int>(rawArray.Span, dimensions, ScalarType.Int32, dtype, device, requires_grad);

    public static Tensor tensor(bool scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Bool, null, device, requires_grad);

    public static Tensor tensor(bool[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<bool>(rawArray, [rawArray.LongLength], ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(bool[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<bool>(rawArray, dimensions, ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(IList<bool> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<bool>([.. rawArray], dimensions, ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(IList<bool> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<bool>([.. rawArray], [rows, columns], ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(bool[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(Memory<bool> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<bool>(rawArray.Span, dimensions, ScalarType.Bool, dtype, device, requires_grad);

    public static Tensor tensor(byte scalar, Device? device = null, bool requires_grad = false) => FromHost([scalar], [], ScalarType.Byte, null, device, requires_grad);

    public static Tensor tensor(byte[] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<byte>(rawArray, [rawArray.LongLength], ScalarType.Byte, dtype, device, requires_grad);

    public static Tensor tensor(byte[] rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<byte>(rawArray, dimensions, ScalarType.Byte, dtype, device, requires_grad);

    public static Tensor tensor(IList<byte> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<byte>([.. rawArray], dimensions, ScalarType.Byte, dtype, device, requires_grad);

    public static Tensor tensor(IList<byte> rawArray, long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<byte>([.. rawArray], [rows, columns], ScalarType.Byte, dtype, device, requires_grad);

    public static Tensor tensor(byte[,] rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost(Flat(rawArray), [rawArray.GetLongLength(0), rawArray.GetLongLength(1)], ScalarType.Byte, dtype, device, requires_grad);

    public static Tensor tensor(Memory<byte> rawArray, ReadOnlySpan<long> dimensions, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        FromHost<byte>(rawArray.Span, dimensions, ScalarType.Byte, dtype, device, requires_grad);

    private static ReadOnlySpan<T> Flat<T>(T[,] matrix) where T : unmanaged => System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpan(
        ref System.Runtime.CompilerServices.Unsafe.As<byte, T>(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(matrix)), matrix.Length);

    internal static unsafe Tensor FromHost<T>(ReadOnlySpan<T> values, ReadOnlySpan<long> dimensions, ScalarType source, ScalarType? dtype, Device? device, bool requires_grad)
        where T : unmanaged
    {
        nint handle;
        fixed (T* data = values)
        fixed (long* shape = dimensions)
            NativeMethods.Check(NativeMethods.kd_tensor_from_host(data, (long)values.Length * sizeof(T), shape, dimensions.Length, (int)source, out handle));
        var result = new Tensor(handle);
        if ((dtype ?? source) != source || (device ?? default_device).type != DeviceType.CPU)
        {
            using var host = result;
            result = host.to(dtype ?? source, device ?? default_device);
        }
        return requires_grad ? result.requires_grad_() : result;
    }
}
