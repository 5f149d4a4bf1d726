using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Ranking;

/// <summary>Sorts keys by their upper 32 bits, ascending and stable: one counting pass a byte, none for bytes that all keys share.</summary>
/// <remarks>
/// A comparison of random keys is mispredicted every other time, which makes up most of a sort of some hundred of them; counting has no
/// comparisons. Figures: <c>benchmarks/TopKBenchmarks.cs</c>.
/// </remarks>
internal static class RadixSort
{
    private const int Digits = 4;
    private const int Values = 256;
    // Below, setting up the counts costs more than comparisons do.
    private const int Least = 48;

    /// <param name="keys">Sorted in place.</param>
    /// <param name="scratch">As long, overwritten.</param>
    [SkipLocalsInit]
    public static void Sort(Span<ulong> keys, Span<ulong> scratch)
    {
        if (keys.Length < Least)
        {
            InsertionSort(keys);
            return;
        }
        Span<int> counts = stackalloc int[Digits * Values];
        Count(keys, counts);
        var from = keys;
        var to = scratch[..keys.Length];
        var isInPlace = true;
        for (var digit = 0; digit < Digits; digit++)
        {
            var places = counts.Slice(digit * Values, Values);
            var shift = 32 + 8 * digit;
            if (places[(byte)(keys[0] >> shift)] == keys.Length)
                continue;
            ToPlaces(places);
            Scatter(from, to, places, shift);
            var sorted = to;
            to = from;
            from = sorted;
            isInPlace = !isInPlace;
        }
        if (!isInPlace)
            from.CopyTo(keys);
    }

    private static void Count(ReadOnlySpan<ulong> keys, Span<int> counts)
    {
        counts.Clear();
        ref var count = ref MemoryMarshal.GetReference(counts);
        foreach (var key in keys)
        {
            Unsafe.Add(ref count, (byte)(key >> 32))++;
            Unsafe.Add(ref count, Values + (byte)(key >> 40))++;
            Unsafe.Add(ref count, 2 * Values + (byte)(key >> 48))++;
            Unsafe.Add(ref count, 3 * Values + (byte)(key >> 56))++;
        }
    }

    private static void ToPlaces(Span<int> counts)
    {
        var place = 0;
        foreach (ref var count in counts)
            (count, place) = (place, place + count);
    }

    private static void Scatter(ReadOnlySpan<ulong> from, Span<ulong> to, Span<int> places, int shift)
    {
        ref var place = ref MemoryMarshal.GetReference(places);
        foreach (var key in from)
            to[Unsafe.Add(ref place, (byte)(key >> shift))++] = key;
    }

    private static void InsertionSort(Span<ulong> keys)
    {
        for (var i = 1; i < keys.Length; i++)
        {
            var key = keys[i];
            var j = i;
            for (; j > 0 && keys[j - 1] >> 32 > key >> 32; j--)
                keys[j] = keys[j - 1];
            keys[j] = key;
        }
    }
}
