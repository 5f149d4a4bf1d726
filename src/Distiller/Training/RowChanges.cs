using System.Numerics;
using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>Which rows of some tables were written, for two who ask at different times: versions and checkpoints. One thread.</summary>
/// <remarks>A table's own bitmap knows only of its last reader; here what it gives up is kept for both.</remarks>
public sealed class RowChanges(IReadOnlyList<EmbeddingTable> tables)
{
    private readonly ulong[][] forVersion = [.. tables.Select(t => new ulong[(t.Rows + 63) / 64])];
    private readonly ulong[][] forCheckpoint = [.. tables.Select(t => new ulong[(t.Rows + 63) / 64])];

    public IReadOnlyList<EmbeddingTable> Tables => tables;

    /// <summary>Rows of each table written since the last call, ascending.</summary>
    public IReadOnlyList<int[]> TakeForVersion() => Take(forVersion);

    /// <inheritdoc cref="TakeForVersion"/>
    public IReadOnlyList<int[]> TakeForCheckpoint() => Take(forCheckpoint);

    /// <summary>What <see cref="TakeForVersion"/> would give, without taking it.</summary>
    public IReadOnlyList<int[]> SinceVersion()
    {
        Collect();
        return [.. forVersion.Select(Rows)];
    }

    /// <summary>The tables are as a checkpoint holds them: nothing is new to the next one, these rows are to the next version.</summary>
    public void Restore(IReadOnlyList<int[]> sinceVersion)
    {
        foreach (var table in tables)
            table.TakeDirtyRows();
        for (var t = 0; t < tables.Count; t++)
        {
            Array.Clear(forCheckpoint[t]);
            Array.Clear(forVersion[t]);
            Mark(forVersion[t], sinceVersion[t]);
        }
    }

    private IReadOnlyList<int[]> Take(ulong[][] marked)
    {
        Collect();
        List<int[]> rows = [.. marked.Select(Rows)];
        foreach (var words in marked)
            Array.Clear(words);
        return rows;
    }

    private void Collect()
    {
        for (var t = 0; t < tables.Count; t++)
        {
            var rows = tables[t].TakeDirtyRows();
            Mark(forVersion[t], rows);
            Mark(forCheckpoint[t], rows);
        }
    }

    private static void Mark(ulong[] words, int[] rows)
    {
        foreach (var row in rows)
            words[row >> 6] |= 1UL << (row & 63);
    }

    private static int[] Rows(ulong[] words)
    {
        var rows = new int[words.Sum(w => BitOperations.PopCount(w))];
        var next = 0;
        for (var w = 0; w < words.Length; w++)
        {
            for (var word = words[w]; word != 0; word &= word - 1)
                rows[next++] = w * 64 + BitOperations.TrailingZeroCount(word);
        }
        return rows;
    }
}
