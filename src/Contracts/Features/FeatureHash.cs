using System.Text;

namespace KdServing.Contracts;

/// <summary>The one hash from raw ids to embedding rows; both processes use it, clients never do.</summary>
/// <remarks>Part of the wire contract: a change of one bit here is a change of every model's meaning.</remarks>
public static class FeatureHash
{
    /// <summary>Row of an id in a table of <paramref name="buckets"/> rows.</summary>
    /// <remarks>
    /// Mix: the finaliser of splitmix64 (Steele, Lea, Flood 2014, variant 13 by Stafford). Range: the high word of
    /// hash × buckets (Lemire 2019), which needs no division.
    /// </remarks>
    public static int Row(long id, ulong seed, int buckets)
    {
        var high = Math.BigMul(Mix((ulong)id ^ seed), (ulong)buckets, out _);
        return (int)high;
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
    public static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
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
