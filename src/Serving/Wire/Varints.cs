using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Wire;

/// <summary>Reads packed varints of 64 bits: protobuf's <c>repeated int64</c>.</summary>
/// <remarks>https://protobuf.dev/programming-guides/encoding/#varints: seven bits a byte, the least first, the high bit set on all but the last.</remarks>
internal ref struct Varints(ReadOnlySpan<byte> packed)
{
    private const ulong ContinuationOfThree = 0x808080;
    private const ulong ThreeBytes = 0x008080;

    private readonly ReadOnlySpan<byte> packed = packed;
    private int position;

    public readonly bool IsAtEnd => position == packed.Length;

    /// <summary>Number of values: bytes without the continuation bit.</summary>
    public static int Count(ReadOnlySpan<byte> packed)
    {
        var count = 0;
        foreach (var b in packed)
            count += (b >> 7) ^ 1;
        return count;
    }

    /// <returns>False when the list is at its end or cut short, or a value has more than ten bytes.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead(out long value)
    {
        // Three bytes hold ids up to two million, the usual length: one load and no loop.
        if (packed.Length - position >= sizeof(uint))
        {
            ulong word = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref MemoryMarshal.GetReference(packed), position));
            if ((word & ContinuationOfThree) == ThreeBytes)
            {
                position += 3;
                value = (long)((word & 0x7F) | ((word & 0x7F00) >> 1) | ((word & 0x7F0000) >> 2));
                return true;
            }
        }
        return TryReadSlowly(out value);
    }

    private bool TryReadSlowly(out long value)
    {
        var bits = 0UL;
        for (var shift = 0; shift < 70 && position < packed.Length; shift += 7)
        {
            var b = packed[position++];
            bits |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
            {
                value = (long)bits;
                return true;
            }
        }
        value = 0;
        return false;
    }
}
