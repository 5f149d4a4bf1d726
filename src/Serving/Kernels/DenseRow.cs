using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KdServing.Serving.Kernels;

/// <summary>One row times one <see cref="PackedLayer"/>: what is done once a request, for the user.</summary>
internal static unsafe class DenseRow
{
    /// <summary>to = [relu](from·Wᵀ + b).</summary>
    /// <param name="from">[Inputs].</param>
    /// <param name="to">[Stride].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(PackedLayer layer, float* from, float* to, bool relu)
    {
        var b = layer.Panels;
        var floor = relu ? Vector512<float>.Zero : Vector512.Create(float.NegativeInfinity);
        for (var column = 0; column < layer.Stride; column += PackedLayer.PanelWidth)
        {
            // Even and odd inputs apart: each addition waits for the one before it.
            var left = Vector512.Load(layer.Bias + column);
            var right = Vector512.Load(layer.Bias + column + 16);
            var (oddLeft, oddRight) = (Vector512<float>.Zero, Vector512<float>.Zero);
            var i = 0;
            for (; i < layer.Inputs - 1; i += 2, b += 2 * PackedLayer.PanelWidth)
            {
                var (even, odd) = (Vector512.Create(from[i]), Vector512.Create(from[i + 1]));
                left = Vector512.FusedMultiplyAdd(even, Vector512.Load(b), left);
                right = Vector512.FusedMultiplyAdd(even, Vector512.Load(b + 16), right);
                oddLeft = Vector512.FusedMultiplyAdd(odd, Vector512.Load(b + 32), oddLeft);
                oddRight = Vector512.FusedMultiplyAdd(odd, Vector512.Load(b + 48), oddRight);
            }
            if (i < layer.Inputs)
            {
                left = Vector512.FusedMultiplyAdd(Vector512.Create(from[i]), Vector512.Load(b), left);
                right = Vector512.FusedMultiplyAdd(Vector512.Create(from[i]), Vector512.Load(b + 16), right);
                b += PackedLayer.PanelWidth;
            }
            Vector512.Max(left + oddLeft, floor).Store(to + column);
            Vector512.Max(right + oddRight, floor).Store(to + column + 16);
        }
    }
}
