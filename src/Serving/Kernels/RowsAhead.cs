using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace KdServing.Serving.Kernels;

/// <summary>Rows that are needed soon, anywhere in memory, asked for a few cache lines at a time while others are multiplied.</summary>
/// <remarks>
/// A core has some sixteen lines under way at most. Asked for all at once, a tile's vectors (96 lines of 64 bytes) keep it waiting, and
/// with it the multiplication that was to hide their way; spread over that multiplication they cost nothing.
/// <para>
/// The first line of every row, then the second of every row: each row may lie in a page whose address the core has to look up, for which it waits, but
/// it looks up several at a time if they are asked for one behind the other. Row by row, a catalog's candidate on a virtual machine (whose host has small pages whatever
/// the guest asks for) waited some 65 ns, a third of its time; so, 25.
/// </para>
/// </remarks>
/// <param name="rows">Addresses of the rows.</param>
/// <param name="bytes">Of a row.</param>
/// <param name="isFar">They go to the second-level cache: more than the first would hold beside what is multiplied.</param>
internal unsafe ref struct RowsAhead(ReadOnlySpan<nint> rows, int bytes, bool isFar)
{
    /// <summary>Bytes.</summary>
    public const int CacheLine = 64;

    private readonly ReadOnlySpan<nint> rows = rows;
    private readonly int bytes = bytes;
    private readonly bool isFar = isFar;
    private int row;
    private int offset;

    /// <summary>Lines not yet asked for.</summary>
    public readonly int Left => rows.Length * ((bytes - offset + CacheLine - 1) / CacheLine) - row;

    /// <summary>Asks for the next lines.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ask(int lines)
    {
        if (!Sse.IsSupported)
            return;
        for (; lines > 0 && row < rows.Length && offset < bytes; lines--)
        {
            if (isFar)
                Sse.Prefetch1((byte*)rows[row] + offset);
            else
                Sse.Prefetch0((byte*)rows[row] + offset);
            row++;
            if (row == rows.Length)
                (row, offset) = (0, offset + CacheLine);
        }
    }
}
