using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace KdServing.Serving.Ranking;

/// <summary>The positions of the largest values, best first; of equal values the lower position first. Deterministic; allocates nothing.</summary>
/// <remarks>
/// One pass keeps a small pool of values above the worst of the best K so far; most values fail one vectorised comparison.
/// The pool is cut back to K by sorting when it is full.
/// </remarks>
public static class TopK
{
    // Room beyond K before the pool is sorted: as much again, for of the values behind a pool of 2K one in two is good enough, then one in
    // three; but not so little that it is sorted all the time, nor more than the first-level cache holds.
    private const int LeastSlack = 32;
    private const int MostSlack = 512;

    /// <param name="values">NaN counts as less than every number.</param>
    /// <param name="best">Written: as many positions as it has room for, at most the number of values.</param>
    public static void Select(ReadOnlySpan<float> values, Span<int> best)
    {
        var k = best.Length;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, values.Length, nameof(best));
        if (k == 0)
            return;
        var room = Math.Min(values.Length, k + Math.Clamp(k, LeastSlack, MostSlack)) + Vector256<float>.Count;
        var rented = ArrayPool<ulong>.Shared.Rent(2 * room);
        var pool = rented.AsSpan(0, room);
        var scratch = rented.AsSpan(room, room);
        var filled = Scan(values, k, pool, scratch);
        if (filled < k)
            filled = AddLeast(values, filled, k, pool);
        pool = pool[..filled];
        RadixSort.Sort(pool, scratch);
        for (var i = 0; i < k; i++)
            best[i] = (int)(uint)pool[i];
        ArrayPool<ulong>.Shared.Return(rented);
    }

    private static int Scan(ReadOnlySpan<float> values, int k, Span<ulong> pool, Span<ulong> scratch)
    {
        var limit = pool.Length - Vector256<float>.Count;
        var worst = float.NegativeInfinity;
        var filled = 0;
        var i = 0;
        for (; i <= values.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            var above = Vector256.GreaterThan(Vector256.LoadUnsafe(ref MemoryMarshal.GetReference(values), (nuint)i), Vector256.Create(worst))
                .ExtractMostSignificantBits();
            for (; above != 0; above &= above - 1)
            {
                var position = i + BitOperations.TrailingZeroCount(above);
                pool[filled++] = Key(values[position], position);
            }
            if (filled >= limit)
                (filled, worst) = CutBack(pool[..filled], k, scratch);
        }
        for (; i < values.Length; i++)
        {
            if (values[i] > worst)
                pool[filled++] = Key(values[i], i);
            if (filled >= limit)
                (filled, worst) = CutBack(pool[..filled], k, scratch);
        }
        return filled;
    }

    // No value exceeded these: minus infinity, then NaN; as many as are missing.
    private static int AddLeast(ReadOnlySpan<float> values, int filled, int k, Span<ulong> pool)
    {
        for (var i = 0; i < values.Length && filled < k; i++)
        {
            if (float.IsNegativeInfinity(values[i]))
                pool[filled++] = Key(values[i], i);
        }
        for (var i = 0; i < values.Length && filled < k; i++)
        {
            if (float.IsNaN(values[i]))
                pool[filled++] = (ulong)uint.MaxValue << 32 | (uint)i;
        }
        return filled;
    }

    // A later value equal to the worst loses to it by position, so only larger ones enter from here on.
    private static (int Filled, float Worst) CutBack(Span<ulong> pool, int k, Span<ulong> scratch)
    {
        RadixSort.Sort(pool, scratch);
        return pool.Length < k ? (pool.Length, float.NegativeInfinity) : (k, Value(pool[k - 1]));
    }

    // What is equal stays in order: in the pool, the lower position is always before the higher one. Ascending order of keys is descending order of values, then ascending order of positions. The bits of a float order like
    // integers once negative ones are inverted; -0 counts as 0.
    private static ulong Key(float value, int position)
    {
        var bits = BitConverter.SingleToUInt32Bits(value + 0f);
        var ascending = bits ^ ((uint)((int)bits >> 31) | 0x8000_0000);
        return ((ulong)~ascending << 32) | (uint)position;
    }

    private static float Value(ulong key)
    {
        var ascending = ~(uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle(ascending ^ ((uint)(~(int)ascending >> 31) | 0x8000_0000));
    }
}
