using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KdServing.Serving.Kernels;

/// <summary>The last step of a student: a few inner products a row, one a target; too narrow for <see cref="DenseTiles"/>.</summary>
internal static unsafe class DenseDots
{
    private const int Lanes = 16;

    /// <summary>Floats of a row and of a target's weights are padded to this with zeros.</summary>
    public static int Padded(int width) => (width + Lanes - 1) / Lanes * Lanes;

    /// <summary>logits[r, t] (+)= weights[t]·from[r] + bias[t].</summary>
    /// <param name="from">[rows, <paramref name="fromStride"/>].</param>
    /// <param name="width">A multiple of 16, at most the stride; the padding of either side is zero.</param>
    /// <param name="weights">[targets, <paramref name="width"/>].</param>
    /// <param name="isAdded">Adds to what the logits hold.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(float* from, nint fromStride, int rows, int width, float* weights, float* bias, int targets, float* logits, bool isAdded)
    {
        for (var t = 0; t < targets; t++)
        {
            var w = weights + (nint)t * width;
            for (var r = 0; r < rows; r++)
            {
                ref var logit = ref logits[r * targets + t];
                logit = Dot(from + r * fromStride, w, width) + bias[t] + (isAdded ? logit : 0);
            }
        }
    }

    /// <summary>As above, for rows that lie anywhere.</summary>
    /// <param name="rows">Address of each row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(ReadOnlySpan<nint> rows, int width, float* weights, float* bias, int targets, float* logits, bool isAdded)
    {
        for (var r = 0; r < rows.Length; r++)
        {
            for (var t = 0; t < targets; t++)
            {
                ref var logit = ref logits[r * targets + t];
                logit = Dot((float*)rows[r], weights + (nint)t * width, width) + bias[t] + (isAdded ? logit : 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot(float* a, float* b, int width)
    {
        var even = Vector512<float>.Zero;
        var odd = Vector512<float>.Zero;
        var i = 0;
        for (; i <= width - 2 * Lanes; i += 2 * Lanes)
        {
            even = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), even);
            odd = Vector512.FusedMultiplyAdd(Vector512.Load(a + i + Lanes), Vector512.Load(b + i + Lanes), odd);
        }
        if (i < width)
            even = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), even);
        return Vector512.Sum(even + odd);
    }
}
