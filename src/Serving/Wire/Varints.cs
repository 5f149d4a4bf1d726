using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Wire;

/// <summary>Reads packed varints of 64 bits: protobuf's <c>repeated int64</c>.</summary>
/// <remarks>https://protobuf.dev/programming-guides/encoding/#varints: seven bits a byte, the least first, the high bit set on all but the last.</remarks>
internal ref struct Varints(ReadOnlySpan<byte> packed)
{
    private const ulong SevenBitsAByte = 0x7F7F_7F7F_7F7F_7F7F;
    private const int MaxBytes = 10;
    private const int WindowBytes = 64;

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

    /// <summary>Reads exactly so many values.</summary>
    /// <returns>False when the list ends before, or a value has more than ten bytes.</returns>
    public bool TryRead(scoped Span<long> values)
    {
        var read = 0;
        while (read < values.Length)
        {
            if (Bmi2.X64.IsSupported && packed.Length - position >= WindowBytes && ReadWindow(values[read..]) is var some and > 0)
                read += some;
            else if (TryRead(out values[read]))
                read++;
            else
                return false;
        }
        return true;
    }

    /// <inheritdoc cref="TryRead(Span{long})"/>
    public bool TryRead(out long value)
    {
        var bits = 0UL;
        for (var shift = 0; shift < 7 * MaxBytes && position < packed.Length; shift += 7)
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

    // The ends of all values of 64 bytes are found at once, so that no value waits for the length of the one before it; a value of up to
    // eight bytes is a load, a gathering of its bits and a cut. Stops before a longer one.
    private int ReadWindow(scoped Span<long> values)
    {
        ref var window = ref Unsafe.Add(ref MemoryMarshal.GetReference(packed), position);
        var ends = ~Vector512.LoadUnsafe(ref window).ExtractMostSignificantBits();
        var (read, start) = (0, 0);
        // The last eight bytes of the window are loaded from only as a value's beginning, which ends inside: the load must, too.
        for (; ends != 0 && read < values.Length && start <= WindowBytes - sizeof(ulong); ends &= ends - 1)
        {
            var end = BitOperations.TrailingZeroCount(ends);
            var bytes = end - start + 1;
            if (bytes > sizeof(ulong))
                break;
            var word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref window, start));
            values[read++] = (long)Bmi2.X64.ZeroHighBits(Bmi2.X64.ParallelBitExtract(word, SevenBitsAByte), (ulong)(7 * bytes));
            start = end + 1;
        }
        position += start;
        return read;
    }
}
