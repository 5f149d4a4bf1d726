using TorchSharp.Interop;

namespace TorchSharp;

// Tensors filled with a constant, a range, or noise.
public static partial class torch
{
    public static Tensor zeros(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.zeros.Call(size, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor zeros(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => zeros(size.ToArray(), dtype, device, requires_grad);

    public static Tensor zeros(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => zeros([size], dtype, device, requires_grad);

    public static Tensor zeros(long dim0, long dim1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => zeros([dim0, dim1], dtype, device, requires_grad);

    public static Tensor zeros(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => zeros([dim0, dim1, dim2], dtype, device, requires_grad);

    public static Tensor zeros(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => zeros([dim0, dim1, dim2, dim3], dtype, device, requires_grad);

    public static Tensor ones(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.ones.Call(size, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor ones(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => ones(size.ToArray(), dtype, device, requires_grad);

    public static Tensor ones(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => ones([size], dtype, device, requires_grad);

    public static Tensor ones(long dim0, long dim1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => ones([dim0, dim1], dtype, device, requires_grad);

    public static Tensor ones(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => ones([dim0, dim1, dim2], dtype, device, requires_grad);

    public static Tensor ones(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => ones([dim0, dim1, dim2, dim3], dtype, device, requires_grad);

    public static Tensor empty(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.empty__memory_format.Call(size, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor empty(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => empty(size.ToArray(), dtype, device, requires_grad);

    public static Tensor empty(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => empty([size], dtype, device, requires_grad);

    public static Tensor empty(long dim0, long dim1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => empty([dim0, dim1], dtype, device, requires_grad);

    public static Tensor empty(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => empty([dim0, dim1, dim2], dtype, device, requires_grad);

    public static Tensor empty(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => empty([dim0, dim1, dim2, dim3], dtype, device, requires_grad);

    public static Tensor rand(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.rand.Call(size, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor rand(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => rand(size.ToArray(), dtype, device, requires_grad);

    public static Tensor rand(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => rand([size], dtype, device, requires_grad);

    public static Tensor rand(long dim0, long dim1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => rand([dim0, dim1], dtype, device, requires_grad);

    public static Tensor rand(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => rand([dim0, dim1, dim2], dtype, device, requires_grad);

    public static Tensor rand(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => rand([dim0, dim1, dim2, dim3], dtype, device, requires_grad);

    public static Tensor randn(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.randn.Call(size, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor randn(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => randn(size.ToArray(), dtype, device, requires_grad);

    public static Tensor randn(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => randn([size], dtype, device, requires_grad);

    public static Tensor randn(long dim0, long dim1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => randn([dim0, dim1], dtype, device, requires_grad);

    public static Tensor randn(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => randn([dim0, dim1, dim2], dtype, device, requires_grad);

    public static Tensor randn(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => randn([dim0, dim1, dim2, dim3], dtype, device, requires_grad);

    public static Tensor full(long[] size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.full.Call(size, value, dtype ?? Inferred(value), Argument.None, device ?? default_device), requires_grad);

    public static Tensor full(ReadOnlySpan<long> size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => full(size.ToArray(), value, dtype, device, requires_grad);

    public static Tensor full(long size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => full([size], value, dtype, device, requires_grad);

    public static Tensor full(long rows, long columns, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => full([rows, columns], value, dtype, device, requires_grad);

    public static Tensor eye(long rows, long columns = -1L, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.eye__m.Call(rows, columns < 0 ? rows : columns, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor arange(Scalar stop, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => arange(0L, stop, 1L, dtype, device, requires_grad);

    public static Tensor arange(Scalar start, Scalar stop, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => arange(start, stop, 1L, dtype, device, requires_grad);

    /// <summary>start, start + step, … below stop. Without a dtype: int64 when all three are integers, else the default.</summary>
    public static Tensor arange(Scalar start, Scalar stop, Scalar step, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.arange__start_step.Call(start, stop, step, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor linspace(double start, double end, long steps, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.linspace.Call(start, end, steps, dtype, Argument.None, device ?? default_device), requires_grad);

    public static Tensor randint(long low, long high, long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.randint__low.Call(low, high, size, dtype ?? ScalarType.Int64, Argument.None, device ?? default_device), requires_grad);

    public static Tensor randint(long high, long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        randint(0, high, size, dtype, device, requires_grad);

    public static Tensor randperm(long n, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.randperm.Call(n, dtype ?? ScalarType.Int64, Argument.None, device ?? default_device), requires_grad);

    public static Tensor zeros_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.zeros_like.Call(input, dtype, Argument.None, device), requires_grad);

    public static Tensor ones_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.ones_like.Call(input, dtype, Argument.None, device), requires_grad);

    public static Tensor empty_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.empty_like.Call(input, dtype, Argument.None, device), requires_grad);

    public static Tensor rand_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.rand_like.Call(input, dtype, Argument.None, device), requires_grad);

    public static Tensor randn_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.randn_like.Call(input, dtype, Argument.None, device), requires_grad);

    public static Tensor full_like(Tensor input, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Made(Aten.full_like.Call(input, value, dtype, Argument.None, device), requires_grad);

    /// <summary>Draws 0 or 1 with the probabilities given.</summary>
    public static Tensor bernoulli(Tensor input) => Aten.bernoulli.Call(input);

    /// <summary>Draws indices in proportion to the weights of each row.</summary>
    public static Tensor multinomial(Tensor input, long num_samples, bool replacement = false) => Aten.multinomial.Call(input, num_samples, replacement);

    private static Tensor Made(Tensor result, bool requires_grad) => requires_grad ? result.requires_grad_() : result;

    private static ScalarType? Inferred(Scalar value) => value.Type switch
    {
        ScalarType.Float32 or ScalarType.Float64 => default_dtype,
        ScalarType.Bool => ScalarType.Bool,
        _ => ScalarType.Int64,
    };
}
