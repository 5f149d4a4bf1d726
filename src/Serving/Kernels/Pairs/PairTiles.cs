using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>The matrix product of the hand-written kernel with half the multiplications; what <see cref="DenseTiles"/> is to all of them.</summary>
/// <remarks>
/// Winograd 1968 (IEEE Trans. Comput. C-17, "A New Algorithm for Inner Product"): of two inputs x, y with weights w, v
/// <code>x·w + y·v = (x + v)·(y + w) - x·y - w·v</code>
/// where x·y is summed once a row for all outputs, and w·v once a version. A pair costs one multiply-add and two additions in place of two multiply-adds: a
/// gain where a processor adds beside its multipliers (AMD's Zen: two units each), a loss where the same units do both (<see cref="PairPayoff"/>). One addition of four is written
/// as a multiply-add by one, so that both kinds of unit are busy: three steps for what takes four.
/// <para>
/// Sums hold x² and w² beside x·w and are exact to what float32 holds of the largest of them (Brent 1970): weights are scaled to 1 by <see cref="PairWeights"/>, and a row with
/// an input beyond <see cref="PairSums.Reach"/> is multiplied by <see cref="DenseTiles"/>. A row's result does not depend on which rows are beside it.
/// </para>
/// </remarks>
internal static unsafe class PairTiles
{
    /// <summary>Outputs a tile: of two columns of tiles each broadcast input would be used twice, and the JIT would keep it in a register that is not there.</summary>
    public const int Outputs = 16;

    private const int Rows = DenseTiles.Rows;
    private const int InputsAStep = 32;

    /// <summary>True where this machine has the vectors.</summary>
    public static bool IsSupported => Avx512F.IsSupported && Avx512DQ.IsSupported;

    /// <summary>to = [relu](from·Wᵀ + addend), for whole tiles of rows.</summary>
    /// <returns>Rows beyond <see cref="PairSums.Reach"/>, which were multiplied twice.</returns>
    /// <param name="from">[rows, <paramref name="fromStride"/>]; behind the inputs zero up to the next multiple of 16.</param>
    /// <param name="rows">A multiple of <see cref="DenseTiles.Rows"/>, at most <see cref="StudentKernel.BlockRows"/>.</param>
    /// <inheritdoc cref="DenseTiles.Multiply(PackedLayer, float*, int, int, float*, int, float*, bool, ref RowsAhead)"/>
    public static int Multiply(PackedLayer layer, float* from, int fromStride, int rows, float* addend, int addendStride, float* to, bool relu,
        ref RowsAhead ahead)
    {
        var weights = layer.Pairs!;
        var products = stackalloc float[StudentKernel.BlockRows];
        var outliers = PairSums.Take(from, fromStride, rows, layer.Inputs, products) ? 0 : PairSums.Outliers(from, fromStride, rows, layer.Inputs);
        var exact = stackalloc float[Rows * PackedLayer.PanelWidth];
        var steps = Math.Max(1, layer.Stride / Outputs * (rows / Rows) * ((layer.Inputs + InputsAStep - 1) / InputsAStep));
        var linesAStep = (ahead.Left + steps - 1) / steps;
        for (var column = 0; column < layer.Stride; column += Outputs)
        {
            var panel = weights.Panel(column);
            for (var row = 0; row < rows; row += Rows)
            {
                var a = from + (nint)row * fromStride;
                var d = addend + (nint)row * addendStride + column;
                var c = to + (nint)row * layer.Stride + column;
                var apart = (int)(outliers >> row) & ((1 << Rows) - 1);
                // First: the addend may be what is written.
                if (apart != 0)
                    MultiplyPlainly(layer, column, a, fromStride, d, addendStride, exact, relu);
                Tile(a, fromStride, layer.Inputs, panel, weights.Offsets + column, weights.Inverse + column, products + row, d, addendStride, c, layer.Stride,
                    relu, ref ahead, linesAStep);
                for (; apart != 0; apart &= apart - 1)
                {
                    var r = BitOperations.TrailingZeroCount(apart);
                    Vector512.Load(exact + r * PackedLayer.PanelWidth + column % PackedLayer.PanelWidth).Store(c + (nint)r * layer.Stride);
                }
            }
        }
        ahead.Ask(ahead.Left);
        return BitOperations.PopCount(outliers);
    }

    // Into [rows][32]: plain tiles are twice as wide.
    private static void MultiplyPlainly(PackedLayer layer, int column, float* a, nint lda, float* d, nint ldd, float* to, bool relu)
    {
        var nothing = default(RowsAhead);
        var beyond = column % PackedLayer.PanelWidth;
        DenseTiles.Tile512(a, lda, layer.Inputs, layer.Panels + (nint)(column - beyond) * layer.Inputs, d - beyond, ldd, to, PackedLayer.PanelWidth, relu, ref nothing, 0);
    }

    // As in DenseTiles, one local a register, compiled fully at once.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile(float* a, nint lda, int inputs, float* b, float* offsets, float* inverse, float* products, float* d, nint ldd, float* c, nint ldc,
        bool relu, ref RowsAhead ahead, int linesAStep)
    {
        var one = Vector512<float>.One;
        var first = Vector512.Load(offsets);
        var c0 = first - Vector512.Create(products[0]);
        var c1 = first - Vector512.Create(products[1]);
        var c2 = first - Vector512.Create(products[2]);
        var c3 = first - Vector512.Create(products[3]);
        var c4 = first - Vector512.Create(products[4]);
        var c5 = first - Vector512.Create(products[5]);
        var c6 = first - Vector512.Create(products[6]);
        var c7 = first - Vector512.Create(products[7]);
        var c8 = first - Vector512.Create(products[8]);
        var c9 = first - Vector512.Create(products[9]);
        var cA = first - Vector512.Create(products[10]);
        var cB = first - Vector512.Create(products[11]);

        var a3 = a + 3 * lda;
        var a6 = a + 6 * lda;
        var a9 = a + 9 * lda;
        var lda2 = 2 * lda;
        for (var left = inputs; left > 0; left -= InputsAStep)
        {
            ahead.Ask(linesAStep);
            for (var end = a + Math.Min(left, InputsAStep); a < end; a += 2, a3 += 2, a6 += 2, a9 += 2, b += 2 * Outputs)
            {
                var w = Vector512.LoadAligned(b);
                var v = Vector512.LoadAligned(b + Outputs);
                c0 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*a), w + Vector512.Create(*(a + 1)), c0);
                c1 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a + lda)), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a + lda + 1)), w), c1);
                c2 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a + lda2)), w + Vector512.Create(*(a + lda2 + 1)), c2);
                c3 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*a3), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a3 + 1)), w), c3);
                c4 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a3 + lda)), w + Vector512.Create(*(a3 + lda + 1)), c4);
                c5 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a3 + lda2)), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a3 + lda2 + 1)), w), c5);
                c6 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*a6), w + Vector512.Create(*(a6 + 1)), c6);
                c7 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a6 + lda)), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a6 + lda + 1)), w), c7);
                c8 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a6 + lda2)), w + Vector512.Create(*(a6 + lda2 + 1)), c8);
                c9 = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*a9), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a9 + 1)), w), c9);
                cA = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a9 + lda)), w + Vector512.Create(*(a9 + lda + 1)), cA);
                cB = Avx512F.FusedMultiplyAdd(v + Vector512.Create(*(a9 + lda2)), Avx512F.FusedMultiplyAdd(one, Vector512.Create(*(a9 + lda2 + 1)), w), cB);
            }
        }

        // Of two operands vmaxps returns the second when one is NaN: a NaN stays one, and is found when scores are checked.
        var floor = relu ? Vector512<float>.Zero : Vector512.Create(float.NegativeInfinity);
        var back = Vector512.Load(inverse);
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c0, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c1, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c2, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c3, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c4, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c5, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c6, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c7, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c8, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(c9, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(cA, back, Vector512.Load(d))).Store(c);
        c += ldc;
        d += ldd;
        Avx512F.Max(floor, Avx512F.FusedMultiplyAdd(cB, back, Vector512.Load(d))).Store(c);
    }
}
