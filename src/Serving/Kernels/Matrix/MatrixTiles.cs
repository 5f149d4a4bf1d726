using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace KdServing.Serving.Kernels;

/// <summary>The matrix product of the hand-written kernel on the matrix unit; what <see cref="DenseTiles"/> is to vectors.</summary>
/// <remarks>
/// Each float32 goes in as two bfloat16 and three of their four products are summed in float32: some 4·10⁻⁶ of the terms' size, against
/// 10⁻⁷ to 10⁻⁶ of float32 sums, at a quarter of the time (ADR 22). A row's result does not depend on which rows are beside it.
/// </remarks>
internal static unsafe class MatrixTiles
{
    private const uint UpperHalf = 0xFFFF_0000;
    private const int Lanes = 16;

    /// <summary>Bytes that the halves of a block's rows take.</summary>
    public static long HalvesBytes(int inputs) => (long)SplitWeights.StepsOf(inputs) * MatrixTileProgram.StepRowBytes;

    /// <summary>to = [relu](from·Wᵀ + addend), for up to 48 rows whose halves <see cref="Split"/> has made.</summary>
    /// <param name="addend">[48, <paramref name="addendStride"/>], or one row for all when the stride is 0. May be <paramref name="to"/>.</param>
    /// <param name="to">[48, <paramref name="toStride"/>]; rows beyond those given mean nothing.</param>
    public static void Multiply(SplitWeights weights, byte* halves, int rows, float* addend, int addendStride, float* to, int toStride, bool relu)
    {
        MatrixTileProgram.Run(new()
        {
            Rows = halves,
            Weights = weights.Tiles,
            Steps = weights.Steps,
            Columns = weights.Columns,
            Addend = (byte*)addend,
            AddendStride = (nint)addendStride * sizeof(float),
            AddendTile = (nint)addendStride * sizeof(float) * MatrixTileProgram.TileRows,
            To = (byte*)to,
            ToStride = (nint)toStride * sizeof(float),
            ToTile = (nint)toStride * sizeof(float) * MatrixTileProgram.TileRows,
        });
        if (relu)
            Rectify(to, rows * toStride);
    }

    /// <summary>Makes the halves of a block's rows, or of some of them: of those from row 16·k into <paramref name="halves"/> + k tiles.</summary>
    /// <param name="from">[rows, <paramref name="fromStride"/>], up to the next multiple of 16 behind the inputs finite.</param>
    /// <param name="halves">Room of <see cref="HalvesBytes"/>, aligned to a cache line.</param>
    // A pair of the unit's is an input and the one 16 further on, as SplitWeights has them: two registers are packed by a shift and a blend.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Split(float* from, int fromStride, int rows, int inputs, byte* halves)
    {
        var upperHalf = Vector512.Create(UpperHalf);
        var half = Vector512.Create(0x8000u);
        for (var r = 0; r < rows; r++, from += fromStride)
        {
            var to = halves + r * 64;
            for (var i = 0; i < inputs; i += 2 * Lanes, to += MatrixTileProgram.StepRowBytes)
            {
                var left = Vector512.Load(from + i);
                var right = i + Lanes < inputs ? Vector512.Load(from + i + Lanes) : Vector512<float>.Zero;
                var (upperLeft, upperRight) = (left.AsUInt32() + half, (right.AsUInt32() + half) & upperHalf);
                var lowerLeft = (left - (upperLeft & upperHalf).AsSingle()).AsUInt32() + half;
                var lowerRight = (right - upperRight.AsSingle()).AsUInt32() + half;
                ((upperLeft >>> 16) | upperRight).Store((uint*)to);
                ((lowerLeft >>> 16) | (lowerRight & upperHalf)).Store((uint*)(to + 3 * MatrixTileProgram.TileBytes));
            }
        }
    }

    // Of two operands vmaxps returns the second when one is NaN: a NaN stays one, and is found when scores are checked.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rectify(float* values, int count)
    {
        for (var i = 0; i < count; i += Lanes)
            System.Runtime.Intrinsics.X86.Avx512F.Max(Vector512<float>.Zero, Vector512.LoadAligned(values + i)).StoreAligned(values + i);
    }
}
