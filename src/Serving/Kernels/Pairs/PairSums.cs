using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>What <see cref="PairTiles"/> needs to know of a layer's inputs: the products of their pairs, and which rows are beyond its reach.</summary>
internal static unsafe class PairSums
{
    /// <summary>
    /// Largest size of an input. With weights around 1 a sum is exact to some 2⁻²⁴·|x|·max(1, |x|) a pair, where float32 would be to 2⁻²⁴·|x|: at 32 times
    /// the usual size the error, 2·10⁻⁶ of the terms, is still below what <see cref="Models.EngineParity"/> grants.
    /// </summary>
    public const float Reach = 32;

    private const byte LargerSizeWithoutSign = 0b1011; // of vrangeps
    private const byte Partners = 0b10_11_00_01; // of vpermilps: 1 0 3 2
    private const int Lanes = 16;

    /// <summary>Sums each row's products of pairs.</summary>
    /// <param name="from">[rows, <paramref name="stride"/>]; behind the inputs zero up to the next multiple of 16.</param>
    /// <param name="products">[rows], written.</param>
    /// <returns>False when a row has an input beyond <see cref="Reach"/>. A NaN is not: it makes its row's results NaN either way.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool Take(float* from, nint stride, int rows, int inputs, float* products)
    {
        var largest = Vector512<float>.Zero;
        for (var r = 0; r < rows; r++, from += stride)
        {
            var twice = Vector512<float>.Zero;
            for (float* x = from, end = from + inputs; x < end; x += Lanes)
            {
                var values = Vector512.Load(x);
                twice = Avx512F.FusedMultiplyAdd(values, Avx512F.Permute4x32(values, Partners), twice);
                largest = Avx512DQ.Range(largest, values, LargerSizeWithoutSign);
            }
            products[r] = Vector512.Sum(twice) / 2;
        }
        return !Vector512.GreaterThanAny(largest, Vector512.Create(Reach));
    }

    /// <summary>Rows with an input beyond <see cref="Reach"/>: bit r is row r.</summary>
    public static ulong Outliers(float* from, nint stride, int rows, int inputs)
    {
        var outliers = 0UL;
        for (var r = 0; r < rows; r++, from += stride)
        {
            foreach (var x in new ReadOnlySpan<float>(from, inputs))
            {
                if (MathF.Abs(x) > Reach)
                    outliers |= 1UL << r;
            }
        }
        return outliers;
    }
}
