using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Text;

namespace KdServing.Contracts;

/// <summary>The one hash from raw ids to embedding rows; both processes use it, clients never do.</summary>
/// <remarks>Part of the wire contract: a change of one bit here is a change of every model's meaning.</remarks>
public static class FeatureHash
{
    // splitmix64's increment and factors.
    private const ulong Golden = 0x9E3779B97F4A7C15;
    private const ulong First = 0xBF58476D1CE4E5B9;
    private const ulong Second = 0x94D049BB133111EB;

    /// <summary>Row of an id in a table of <paramref name="buckets"/> rows.</summary>
    /// <remarks>
    /// Mix: the finaliser of splitmix64 (Steele, Lea, Flood 2014, variant 13 by Stafford). Range: the high word of
    /// hash × buckets (Lemire 2019), which needs no division.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Row(long id, ulong seed, int buckets)
    {
        var high = Math.BigMul(Mix((ulong)id ^ seed), (ulong)buckets, out _);
        return (int)high;
    }

    /// <summary><see cref="Row"/> of many ids.</summary>
    /// <param name="rows">At least as many as ids.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rows(ReadOnlySpan<long> ids, ulong seed, int buckets, Span<int> rows)
    {
        rows = rows[..ids.Length];
        var i = 0;
        if (Avx512DQ.IsSupported)
        {
            var (seeds, factor) = (Vector512.Create(seed), Vector512.Create((ulong)buckets).AsUInt32());
            for (; i <= ids.Length - Vector512<ulong>.Count; i += Vector512<ulong>.Count)
            {
                var hash = Mix(Vector512.LoadUnsafe(in MemoryMarshal.GetReference(ids), (nuint)i).AsUInt64() ^ seeds);
                // The high word of a product with 32 bits: the upper half's product, and what the lower half's carries into it.
                var high = Avx512F.Multiply((hash >> 32).AsUInt32(), factor) + (Avx512F.Multiply(hash.AsUInt32(), factor) >> 32);
                Avx512F.ConvertToVector256Int32(high >> 32).StoreUnsafe(ref MemoryMarshal.GetReference(rows), (nuint)i);
            }
        }
        for (; i < ids.Length; i++)
            rows[i] = Row(ids[i], seed, buckets);
    }

    /// <summary>A string id as a 64-bit id: FNV-1a over its UTF-8 bytes.</summary>
    public static long StringId(string text)
    {
        Span<byte> stack = stackalloc byte[256];
        var length = Encoding.UTF8.GetByteCount(text);
        var bytes = length <= stack.Length ? stack[..length] : new byte[length];
        Encoding.UTF8.GetBytes(text, bytes);
        return (long)Fnv1a(bytes);
    }

    /// <summary>Seed of a table: tables hash differently, so that two tables do not collide on the same pairs.</summary>
    public static ulong Seed(string table) => Mix((ulong)StringId(table));

    /// <summary>splitmix64's finaliser: a bijection that spreads every input bit over the word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong value)
    {
        value += Golden;
        value = (value ^ (value >> 30)) * First;
        value = (value ^ (value >> 27)) * Second;
        return value ^ (value >> 31);
    }

    /// <summary><see cref="Mix(ulong)"/> of eight words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<ulong> Mix(Vector512<ulong> value)
    {
        value += Vector512.Create(Golden);
        value = (value ^ (value >> 30)) * Vector512.Create(First);
        value = (value ^ (value >> 27)) * Vector512.Create(Second);
        return value ^ (value >> 31);
    }

    private static ulong Fnv1a(ReadOnlySpan<byte> bytes)
    {
        var hash = 0xCBF29CE484222325;
        foreach (var b in bytes)
            hash = (hash ^ b) * 0x100000001B3;
        return hash;
    }
}
