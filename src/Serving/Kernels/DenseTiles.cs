using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>The matrix product of the hand-written kernel: a few rows of activations times one <see cref="PackedLayer"/>, in register tiles.</summary>
/// <remarks>
/// A tile is 12 rows × 32 outputs: 24 AVX-512 accumulators, two registers of weights, one of a broadcast activation; on AVX2 four
/// tiles of 6 × 16 in its place. A panel of weights (up to 24 KiB for 192 inputs) stays in the first-level cache while the tiles of
/// a block pass over it. Sums run over the inputs in order, so that a row's result does not depend on which rows are beside it.
/// </remarks>
internal static unsafe class DenseTiles
{
    /// <summary>Rows a tile; buffers hold whole tiles, whatever the number of rows that mean something.</summary>
    public const int Rows = 12;

    // Between two of these a tile of AVX-512 takes some 200 cycles, about the way of a line from the third cache.
    private const int InputsAStep = 16;

    /// <summary>True where this machine has vectors wide enough for the tiles to be worth their while.</summary>
    public static bool IsSupported => Avx512F.IsSupported || Fma.IsSupported;

    /// <summary>Rounded up to whole tiles.</summary>
    public static int Padded(int rows) => (rows + Rows - 1) / Rows * Rows;

    /// <summary>to = [relu](from·Wᵀ + addend), for whole tiles of rows.</summary>
    /// <param name="from">[rows, <paramref name="fromStride"/>], the first <see cref="PackedLayer.Inputs"/> of a row are read.</param>
    /// <param name="rows">A multiple of <see cref="Rows"/>.</param>
    /// <param name="addend">[rows, <paramref name="addendStride"/>], or one row for all when the stride is 0. May be <paramref name="to"/>.</param>
    /// <param name="to">[rows, <see cref="PackedLayer.Stride"/>].</param>
    public static void Multiply(PackedLayer layer, float* from, int fromStride, int rows, float* addend, int addendStride, float* to, bool relu)
    {
        var nothing = default(RowsAhead);
        Multiply(layer, from, fromStride, rows, addend, addendStride, to, relu, ref nothing);
    }

    /// <param name="ahead">Asked for meanwhile, evenly; all of it when this returns.</param>
    /// <inheritdoc cref="Multiply(PackedLayer, float*, int, int, float*, int, float*, bool)"/>
    public static void Multiply(PackedLayer layer, float* from, int fromStride, int rows, float* addend, int addendStride, float* to, bool relu,
        ref RowsAhead ahead) => Multiply(layer, from, fromStride, rows, addend, addendStride, to, relu, ref ahead, Avx512F.IsSupported);

    /// <summary>As above, on the vectors named: what tests call, to see that both agree.</summary>
    internal static void Multiply(PackedLayer layer, float* from, int fromStride, int rows, float* addend, int addendStride, float* to, bool relu,
        ref RowsAhead ahead, bool wide)
    {
        var tiles = Math.Max(1, layer.Stride / PackedLayer.PanelWidth * (rows / Rows));
        var linesATile = (ahead.Left + tiles - 1) / tiles;
        var steps = (layer.Inputs + InputsAStep - 1) / InputsAStep;
        var linesAStep = (linesATile + steps - 1) / steps;
        for (var column = 0; column < layer.Stride; column += PackedLayer.PanelWidth)
        {
            var panel = layer.Panels + (long)column * layer.Inputs;
            for (var row = 0; row < rows; row += Rows)
            {
                var a = from + (long)row * fromStride;
                var c = to + (long)row * layer.Stride + column;
                var d = addend + (long)row * addendStride + column;
                if (wide)
                {
                    Tile512(a, fromStride, layer.Inputs, panel, d, addendStride, c, layer.Stride, relu, ref ahead, linesAStep);
                    continue;
                }
                ahead.Ask(linesATile);
                Tiles256(a, fromStride, layer.Inputs, panel, d, addendStride, c, layer.Stride, relu);
            }
        }
    }

    // One local a register: the JIT keeps locals, but not elements of an array, in registers.
    // Compiled fully at once: a tile is the hottest loop there is, and one that is still being profiled takes several times as long.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Tile512(float* a, nint lda, int inputs, float* b, float* d, nint ldd, float* c, nint ldc, bool relu, ref RowsAhead ahead,
        int linesAStep)
    {
        var c00 = Vector512.Load(d);
        var c01 = Vector512.Load(d + 16);
        d += ldd;
        var c10 = Vector512.Load(d);
        var c11 = Vector512.Load(d + 16);
        d += ldd;
        var c20 = Vector512.Load(d);
        var c21 = Vector512.Load(d + 16);
        d += ldd;
        var c30 = Vector512.Load(d);
        var c31 = Vector512.Load(d + 16);
        d += ldd;
        var c40 = Vector512.Load(d);
        var c41 = Vector512.Load(d + 16);
        d += ldd;
        var c50 = Vector512.Load(d);
        var c51 = Vector512.Load(d + 16);
        d += ldd;
        var c60 = Vector512.Load(d);
        var c61 = Vector512.Load(d + 16);
        d += ldd;
        var c70 = Vector512.Load(d);
        var c71 = Vector512.Load(d + 16);
        d += ldd;
        var c80 = Vector512.Load(d);
        var c81 = Vector512.Load(d + 16);
        d += ldd;
        var c90 = Vector512.Load(d);
        var c91 = Vector512.Load(d + 16);
        d += ldd;
        var cA0 = Vector512.Load(d);
        var cA1 = Vector512.Load(d + 16);
        d += ldd;
        var cB0 = Vector512.Load(d);
        var cB1 = Vector512.Load(d + 16);

        // Three rows from each of four bases: a base, and once and twice the stride, are what an address can hold.
        var a3 = a + 3 * lda;
        var a6 = a + 6 * lda;
        var a9 = a + 9 * lda;
        var lda2 = 2 * lda;
        for (var left = inputs; left > 0; left -= InputsAStep)
        {
            ahead.Ask(linesAStep);
            for (var end = a + Math.Min(left, InputsAStep); a < end; a++, a3++, a6++, a9++, b += PackedLayer.PanelWidth)
            {
                var b0 = Vector512.LoadAligned(b);
                var b1 = Vector512.LoadAligned(b + 16);
                var x = Vector512.Create(*a);
                c00 = Avx512F.FusedMultiplyAdd(x, b0, c00);
                c01 = Avx512F.FusedMultiplyAdd(x, b1, c01);
                x = Vector512.Create(*(a + lda));
                c10 = Avx512F.FusedMultiplyAdd(x, b0, c10);
                c11 = Avx512F.FusedMultiplyAdd(x, b1, c11);
                x = Vector512.Create(*(a + lda2));
                c20 = Avx512F.FusedMultiplyAdd(x, b0, c20);
                c21 = Avx512F.FusedMultiplyAdd(x, b1, c21);
                x = Vector512.Create(*a3);
                c30 = Avx512F.FusedMultiplyAdd(x, b0, c30);
                c31 = Avx512F.FusedMultiplyAdd(x, b1, c31);
                x = Vector512.Create(*(a3 + lda));
                c40 = Avx512F.FusedMultiplyAdd(x, b0, c40);
                c41 = Avx512F.FusedMultiplyAdd(x, b1, c41);
                x = Vector512.Create(*(a3 + lda2));
                c50 = Avx512F.FusedMultiplyAdd(x, b0, c50);
                c51 = Avx512F.FusedMultiplyAdd(x, b1, c51);
                x = Vector512.Create(*a6);
                c60 = Avx512F.FusedMultiplyAdd(x, b0, c60);
                c61 = Avx512F.FusedMultiplyAdd(x, b1, c61);
                x = Vector512.Create(*(a6 + lda));
                c70 = Avx512F.FusedMultiplyAdd(x, b0, c70);
                c71 = Avx512F.FusedMultiplyAdd(x, b1, c71);
                x = Vector512.Create(*(a6 + lda2));
                c80 = Avx512F.FusedMultiplyAdd(x, b0, c80);
                c81 = Avx512F.FusedMultiplyAdd(x, b1, c81);
                x = Vector512.Create(*a9);
                c90 = Avx512F.FusedMultiplyAdd(x, b0, c90);
                c91 = Avx512F.FusedMultiplyAdd(x, b1, c91);
                x = Vector512.Create(*(a9 + lda));
                cA0 = Avx512F.FusedMultiplyAdd(x, b0, cA0);
                cA1 = Avx512F.FusedMultiplyAdd(x, b1, cA1);
                x = Vector512.Create(*(a9 + lda2));
                cB0 = Avx512F.FusedMultiplyAdd(x, b0, cB0);
                cB1 = Avx512F.FusedMultiplyAdd(x, b1, cB1);
            }
        }

        // Of two operands vmaxps returns the second when one is NaN: a NaN stays one, and is found when scores are checked.
        var floor = relu ? Vector512<float>.Zero : Vector512.Create(float.NegativeInfinity);
        Store(c, floor, c00, c01);
        c += ldc;
        Store(c, floor, c10, c11);
        c += ldc;
        Store(c, floor, c20, c21);
        c += ldc;
        Store(c, floor, c30, c31);
        c += ldc;
        Store(c, floor, c40, c41);
        c += ldc;
        Store(c, floor, c50, c51);
        c += ldc;
        Store(c, floor, c60, c61);
        c += ldc;
        Store(c, floor, c70, c71);
        c += ldc;
        Store(c, floor, c80, c81);
        c += ldc;
        Store(c, floor, c90, c91);
        c += ldc;
        Store(c, floor, cA0, cA1);
        c += ldc;
        Store(c, floor, cB0, cB1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, Vector512<float> floor, Vector512<float> left, Vector512<float> right)
    {
        Avx512F.Max(floor, left).Store(c);
        Avx512F.Max(floor, right).Store(c + 16);
    }

    private static void Tiles256(float* a, nint lda, int inputs, float* b, float* d, nint ldd, float* c, nint ldc, bool relu)
    {
        for (var half = 0; half < 2; half++, a += 6 * lda, d += 6 * ldd, c += 6 * ldc)
        {
            Tile256(a, lda, inputs, b, d, ldd, c, ldc, relu);
            Tile256(a, lda, inputs, b + 16, d + 16, ldd, c + 16, ldc, relu);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile256(float* a, nint lda, int inputs, float* b, float* d, nint ldd, float* c, nint ldc, bool relu)
    {
        var c00 = Vector256.Load(d);
        var c01 = Vector256.Load(d + 8);
        d += ldd;
        var c10 = Vector256.Load(d);
        var c11 = Vector256.Load(d + 8);
        d += ldd;
        var c20 = Vector256.Load(d);
        var c21 = Vector256.Load(d + 8);
        d += ldd;
        var c30 = Vector256.Load(d);
        var c31 = Vector256.Load(d + 8);
        d += ldd;
        var c40 = Vector256.Load(d);
        var c41 = Vector256.Load(d + 8);
        d += ldd;
        var c50 = Vector256.Load(d);
        var c51 = Vector256.Load(d + 8);

        var a3 = a + 3 * lda;
        var lda2 = 2 * lda;
        for (var end = a + inputs; a < end; a++, a3++, b += PackedLayer.PanelWidth)
        {
            var b0 = Vector256.LoadAligned(b);
            var b1 = Vector256.LoadAligned(b + 8);
            var x = Vector256.Create(*a);
            c00 = Fma.MultiplyAdd(x, b0, c00);
            c01 = Fma.MultiplyAdd(x, b1, c01);
            x = Vector256.Create(*(a + lda));
            c10 = Fma.MultiplyAdd(x, b0, c10);
            c11 = Fma.MultiplyAdd(x, b1, c11);
            x = Vector256.Create(*(a + lda2));
            c20 = Fma.MultiplyAdd(x, b0, c20);
            c21 = Fma.MultiplyAdd(x, b1, c21);
            x = Vector256.Create(*a3);
            c30 = Fma.MultiplyAdd(x, b0, c30);
            c31 = Fma.MultiplyAdd(x, b1, c31);
            x = Vector256.Create(*(a3 + lda));
            c40 = Fma.MultiplyAdd(x, b0, c40);
            c41 = Fma.MultiplyAdd(x, b1, c41);
            x = Vector256.Create(*(a3 + lda2));
            c50 = Fma.MultiplyAdd(x, b0, c50);
            c51 = Fma.MultiplyAdd(x, b1, c51);
        }

        var floor = relu ? Vector256<float>.Zero : Vector256.Create(float.NegativeInfinity);
        Store(c, floor, c00, c01);
        c += ldc;
        Store(c, floor, c10, c11);
        c += ldc;
        Store(c, floor, c20, c21);
        c += ldc;
        Store(c, floor, c30, c31);
        c += ldc;
        Store(c, floor, c40, c41);
        c += ldc;
        Store(c, floor, c50, c51);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, Vector256<float> floor, Vector256<float> left, Vector256<float> right)
    {
        Avx.Max(floor, left).Store(c);
        Avx.Max(floor, right).Store(c + 8);
    }
}
