using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>How the floats of an item vector are kept.</summary>
public enum ItemVectorFormat
{
    Float32,

    /// <summary>The upper half of a float32, 2 bytes a float.</summary>
    BFloat16,
}

/// <summary>Reads item vectors that lie anywhere in memory; <see cref="RowsAhead"/> has fetched them.</summary>
internal static unsafe class Gathering
{
    /// <summary>Bytes of a vector.</summary>
    public static int Bytes(ItemVectorFormat format, int width) => width * (format == ItemVectorFormat.Float32 ? sizeof(float) : sizeof(ushort));

    /// <summary>to[r] = [relu](vectors[r] + addend).</summary>
    /// <param name="vectors">Addresses of the vectors, <paramref name="width"/> floats each in the format given.</param>
    /// <param name="addend">[width] floats.</param>
    /// <param name="to">[vectors, <paramref name="stride"/>]; floats up to the next multiple of 16, as far as the stride has them, are zeroed.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddTo(ReadOnlySpan<nint> vectors, ItemVectorFormat format, int width, float* addend, float* to, nint stride, bool relu)
    {
        var floor = relu ? 0f : float.NegativeInfinity;
        for (var r = 0; r < vectors.Length; r++, to += stride)
        {
            if (format == ItemVectorFormat.Float32)
                AddRow((float*)vectors[r], width, addend, to, floor);
            else
                AddRow((ushort*)vectors[r], width, addend, to, floor);
            for (var i = width; i < Math.Min(DenseDots.Padded(width), stride); i++)
                to[i] = 0;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow(float* vector, int width, float* addend, float* to, float floor)
    {
        var i = 0;
        for (; i <= width - Vector512<float>.Count; i += Vector512<float>.Count)
            Floor(Vector512.Load(vector + i) + Vector512.Load(addend + i), floor).Store(to + i);
        for (; i < width; i++)
            to[i] = Floor(vector[i] + addend[i], floor);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow(ushort* vector, int width, float* addend, float* to, float floor)
    {
        var i = 0;
        for (; i <= width - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            // A bfloat16 is the upper half of a float.
            var (low, high) = Vector256.Widen(Vector256.Load(vector + i));
            var wide = (Vector512.Create(low, high) << 16).AsSingle();
            Floor(wide + Vector512.Load(addend + i), floor).Store(to + i);
        }
        for (; i < width; i++)
            to[i] = Floor(BitConverter.UInt32BitsToSingle((uint)vector[i] << 16) + addend[i], floor);
    }

    // A NaN stays one: it is found when scores are checked.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Floor(Vector512<float> value, float floor) => Avx512F.IsSupported
        ? Avx512F.Max(Vector512.Create(floor), value)
        : Vector512.Max(Vector512.Create(floor), value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Floor(float value, float floor) => value < floor ? floor : value;
}
