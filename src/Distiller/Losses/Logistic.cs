using System.Numerics.Tensors;

namespace KdServing.Distiller.Losses;

/// <summary>The logistic functions over whole spans, stable for any finite argument.</summary>
internal static class Logistic
{
    /// <summary>log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|).</summary>
    /// <param name="result">May not be <paramref name="x"/>.</param>
    public static void Softplus(ReadOnlySpan<float> x, Span<float> result)
    {
        TensorPrimitives.Abs(x, result);
        TensorPrimitives.Negate(result, result);
        TensorPrimitives.Exp(result, result);
        TensorPrimitives.LogP1(result, result);
        for (var i = 0; i < x.Length; i++)
            result[i] += Math.Max(x[i], 0);
    }

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    public static void Sigmoid(ReadOnlySpan<float> x, Span<float> result) => TensorPrimitives.Sigmoid(x, result);
}
