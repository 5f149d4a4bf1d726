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
            if (Bmi2.X64.IsSupported)
                read += ReadWindows(values[read..]);
            if (read == values.Length)
                return true;
            // One that windows do not hold: the last ones of the list, or one of nine or ten bytes.
            if (!TryRead(out values[read]))
                return false;
            read++;
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

    // The ends of all values of 64 bytes are found at once, so that no value waits for the length of the one before it, and no window for
    // where the last value of the one before it ends; a value of up to eight bytes is a load, a gathering of its bits and a cut.
    private int ReadWindows(scoped Span<long> values)
    {
        ref var bytes = ref MemoryMarshal.GetReference(packed);
        ref var to = ref MemoryMarshal.GetReference(values);
        var (read, start) = (0, position);
        // A value that begins at the very end of a window is loaded with the seven bytes behind it.
        for (var window = position; window <= packed.Length - WindowBytes - sizeof(ulong) && read < values.Length; window += WindowBytes)
        {
            var ends = ~Vector512.LoadUnsafe(ref bytes, (nuint)window).ExtractMostSignificantBits();
            var last = read + Math.Min(BitOperations.PopCount(ends), values.Length - read);
            for (; read < last; read++, ends &= ends - 1)
            {
                var next = window + BitOperations.TrailingZeroCount(ends) + 1;
                if (next - start > sizeof(ulong))
                    return Stop(read, start);
                var word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref bytes, start));
                Unsafe.Add(ref to, read) = (long)Bmi2.X64.ZeroHighBits(Bmi2.X64.ParallelBitExtract(word, SevenBitsAByte), (ulong)(7 * (next - start)));
                start = next;
            }
        }
        return Stop(read, start);
    }

    private int Stop(int read, int start)
    {
        position = start;
        return read;
    }
}
