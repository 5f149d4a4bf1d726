using System.Numerics;
using System.Runtime.InteropServices;

namespace KdServing.Distiller.Training;

/// <summary>The distinct rows of one table that a step touches, numbered in order of appearance.</summary>
/// <remarks>
/// Open addressing in a power-of-two array that is at most half full. Its size follows the batch, not the table, so it stays
/// in the cache; a new step begins by raising the stamp, without clearing.
/// </remarks>
internal sealed class UniqueRows
{
    private readonly List<int> rows = [];
    private (int Stamp, int Row, int Slot)[] cells = new (int, int, int)[1024];
    private int stamp = 1;

    public ReadOnlySpan<int> Rows => CollectionsMarshal.AsSpan(rows);

    public int Count => rows.Count;

    public void Clear()
    {
        rows.Clear();
        if (++stamp == int.MaxValue)
        {
            Array.Clear(cells);
            stamp = 1;
        }
    }

    /// <summary>The row's number; <see cref="Count"/> before the call when it is new.</summary>
    public int Slot(int row)
    {
        var mask = cells.Length - 1;
        for (var at = Start(row); ; at = (at + 1) & mask)
        {
            ref var cell = ref cells[at];
            if (cell.Stamp != stamp)
            {
                cell = (stamp, row, rows.Count);
                rows.Add(row);
                if (rows.Count * 2 > cells.Length)
                    Grow();
                return rows.Count - 1;
            }
            if (cell.Row == row)
                return cell.Slot;
        }
    }

    private void Grow()
    {
        cells = new (int, int, int)[cells.Length * 2];
        for (var slot = 0; slot < rows.Count; slot++)
        {
            var at = Start(rows[slot]);
            while (cells[at].Stamp == stamp)
                at = (at + 1) & (cells.Length - 1);
            cells[at] = (stamp, rows[slot], slot);
        }
    }

    // Fibonacci hashing: the high bits of row × 2^32/φ.
    private int Start(int row) => (int)((uint)row * 2654435769u >> (32 - BitOperations.Log2((uint)cells.Length)));
}
