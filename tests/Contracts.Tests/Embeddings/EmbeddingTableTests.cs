using FsCheck;
using FsCheck.Fluent;

namespace KdServing.Contracts.Tests.Embeddings;

public sealed class EmbeddingTableTests
{
    // 157 pages of 64 rows, the last one not full.
    private static readonly TableShape Shape = new("t", 10_000, 3);

    /// <summary>Whatever is written, forked and disposed in whatever order, every table holds what its own history says.</summary>
    [Fact]
    public void Forks_behave_as_full_copies() => Prop.ForAll<int[]>(operations =>
    {
        var random = new Random(operations.Aggregate(operations.Length, HashCode.Combine));
        var pairs = new List<(EmbeddingTable Table, float[] Values, SortedSet<int> Dirty)>
        {
            (new(Shape), new float[Shape.Rows], []),
        };
        for (var step = 0; step < 10 + operations.Length; step++)
        {
            var which = random.Next(pairs.Count);
            var (table, values, dirty) = pairs[which];
            switch (random.Next(9))
            {
                case 0 when pairs.Count < 6:
                    pairs.Add((table.Fork(), (float[])values.Clone(), []));
                    break;
                case 1 when pairs.Count > 1:
                    table.Dispose();
                    pairs.RemoveAt(which);
                    break;
                case 2:
                    Assert.Equal(dirty, table.DirtyRows());
                    Assert.Equal(dirty, table.TakeDirtyRows());
                    dirty.Clear();
                    break;
                case 3:
                    // Ends within a page, covers one or several, or ends with the table.
                    var (first, count) = (random.Next(8) * 1400, random.Next(3) * 2600);
                    count = Math.Min(count, Shape.Rows - first);
                    Array.Fill(values, -step, first, count);
                    dirty.UnionWith(Enumerable.Range(first, count));
                    table.Write(first, Enumerable.Repeat((float)-step, count * Shape.Width).ToArray());
                    break;
                case 4:
                    // What is there already, but for one row now and then.
                    var start = random.Next(8) * 1400;
                    var some = Math.Min(random.Next(3) * 2600, Shape.Rows - start);
                    if (some > 0 && random.Next(2) == 0)
                        values[start + random.Next(some)] = step + 0.5f;
                    dirty.UnionWith(Enumerable.Range(start, some));
                    table.Write(start, [.. values.AsSpan(start, some).ToArray().SelectMany(v => Enumerable.Repeat(v, Shape.Width))]);
                    break;
                default:
                    // Few distinct rows, so that pages are shared and copied again and again.
                    var row = random.Next(8) * 1400;
                    values[row] = step + 1;
                    dirty.Add(row);
                    table.Writable(row).Fill(step + 1);
                    break;
            }
        }
        foreach (var (table, values, dirty) in pairs)
        {
            for (var row = 0; row < Shape.Rows; row++)
                Assert.True(table[row].IndexOfAnyExcept(values[row]) < 0, $"row {row}");
            Assert.Equal(dirty, table.DirtyRows());
            table.Dispose();
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Random_rows_are_a_function_of_seed_row_and_column()
    {
        using var a = new EmbeddingTable(Shape, 7, 0.5f);
        using var b = new EmbeddingTable(Shape with { Rows = 20_000 }, 7, 0.5f);
        using var other = new EmbeddingTable(Shape, 8, 0.5f);
        var values = new List<float>();
        for (var row = 0; row < Shape.Rows; row++)
        {
            Assert.True(a[row].SequenceEqual(b[row]));
            Assert.False(a[row].SequenceEqual(other[row]));
            values.AddRange(a[row]);
        }
        Assert.Empty(a.DirtyRows());
        Assert.InRange(values.Max(Math.Abs), 0.49, 0.5);
        // Uniform in ±0.5: mean 0, standard deviation 0.5/√3; 30,000 values, five standard errors.
        Assert.InRange(values.Average(), -0.0084, 0.0084);
        Assert.InRange(Math.Sqrt(values.Average(v => v * v)), 0.28, 0.297);
    }

    [Fact]
    public void Rows_outside_are_refused()
    {
        using var table = new EmbeddingTable(Shape);

        Assert.Throws<ArgumentOutOfRangeException>(() => table[Shape.Rows].Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => table[-1].Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Writable(Shape.Rows).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Write(-1, new float[3]));
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Write(Shape.Rows - 1, new float[6]));
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Write(0, new float[4]));
    }

    [Theory]
    [InlineData(4, 1)]
    [InlineData(16, 1)]
    [InlineData(24, 2)]
    [InlineData(40, 3)]
    public unsafe void Whoever_fetches_rows_is_told_a_line_of_every_row_then_the_next(int width, int linesARow)
    {
        using var table = new EmbeddingTable(new("t", 1000, width), seed: 1, scale: 1);
        using var fork = table.Fork();
        table.Writable(999)[0] = 1;
        Assert.Equal(linesARow, table.LinesARow);
        // Every second number is another column's.
        int[] rows = [999, -1, 0, -1, 500, -1];
        var lines = new nint[3 * linesARow + 1];
        fixed (int* first = rows)
        fixed (nint* to = lines)
            table.WriteLines(first, 2, 3, to);
        for (var line = 0; line < linesARow; line++)
        {
            for (var r = 0; r < 3; r++)
                Assert.Equal((nint)table.Address(rows[2 * r]) + 64 * line, lines[line * 3 + r]);
        }
        Assert.Equal(0, lines[^1]);
        Assert.NotEqual((nint)fork.Address(999), lines[0]);
    }

    [Fact]
    public async Task A_fork_is_read_while_the_table_is_written()
    {
        using var table = new EmbeddingTable(Shape);
        for (var round = 1; round <= 200; round++)
        {
            for (var row = 0; row < Shape.Rows; row += 97)
                table.Writable(row).Fill(round);
            using var fork = table.Fork();
            var expected = round;
            var reader = Task.Run(() =>
            {
                for (var row = 0; row < Shape.Rows; row += 97)
                    Assert.True(fork[row].IndexOfAnyExcept(expected) < 0);
            });
            for (var row = 0; row < Shape.Rows; row += 97)
                table.Writable(row).Fill(-round);
            await reader;
        }
    }

    [Fact]
    public void Memory_goes_back_with_the_last_owner()
    {
        var shape = new TableShape("large", 1_000_000, 16);
        var before = ResidentBytes();
        for (var round = 0; round < 20; round++)
        {
            // 64 MB each, plus copies of a few pages.
            var table = new EmbeddingTable(shape);
            var fork = table.Fork();
            for (var row = 0; row < shape.Rows; row += 50_000)
                table.Writable(row)[0] = 1;
            table.Dispose();
            Assert.Equal(0, fork[0][0]);
            fork.Dispose();
        }

        Assert.InRange(ResidentBytes() - before, long.MinValue, 200_000_000);
    }

    [Fact]
    public void Writing_what_a_fork_holds_already_copies_nothing()
    {
        using var table = new EmbeddingTable(Shape, seed: 1, scale: 1);
        using var fork = table.Fork();
        float[] rows = [.. Enumerable.Range(0, Shape.Rows).SelectMany(r => table[r].ToArray())];
        var (negative, nan) = (5_000 * Shape.Width, 9_000 * Shape.Width);
        table.Writable(5_000)[0] = 0;
        table.Writable(9_000)[0] = float.NaN;
        using var other = table.Fork();
        rows[negative] = -0f;
        rows[nan] = float.NaN;

        fork.Write(0, rows);
        other.Write(0, rows);

        // Pages of 64 rows.
        Assert.Equal([5_000 / 64, 9_000 / 64], Copied(fork));
        Assert.Equal([5_000 / 64], Copied(other));
        Assert.Equal(BitConverter.SingleToInt32Bits(-0f), BitConverter.SingleToInt32Bits(other[5_000][0]));
        Assert.Equal(0, BitConverter.SingleToInt32Bits(table[5_000][0]));
        Assert.Equal(Enumerable.Range(0, Shape.Rows), fork.DirtyRows());

        unsafe List<int> Copied(EmbeddingTable written) =>
            [.. Enumerable.Range(0, Shape.Rows).Where(r => written.Address(r) != table.Address(r)).Select(r => r / 64).Distinct()];
    }

    /// <summary>Two versions' pages are held while both live, and one version's afterwards.</summary>
    [Fact]
    public void Pages_of_a_version_that_changed_all_rows_go_back()
    {
        // Thirty slabs of 2 MiB, filled.
        var shape = new TableShape("all", 30 * 32_768, 16);
        var version = new EmbeddingTable(shape);
        var one = version.SharedBytes;
        Assert.Equal(30 * 2 << 20, one);
        for (var round = 1; round <= 4; round++)
        {
            var next = version.Fork();
            var rows = new float[32_768 * shape.Width];
            Array.Fill(rows, round);
            for (var row = 0; row < shape.Rows; row += 32_768)
                next.Write(row, rows);
            Assert.Equal(2 * one, next.SharedBytes);
            version.Dispose();
            version = next;

            Assert.Equal(one, version.SharedBytes);
            Assert.Equal(round, version[shape.Rows - 1][15]);
        }
        version.Dispose();
    }

    /// <summary>A chain of versions, each of which rewrites every page, holds two versions' pages and no more.</summary>
    [Fact]
    public void Pages_that_nobody_reads_are_used_again()
    {
        var shape = new TableShape("chain", 250_000, 16);
        var version = new EmbeddingTable(shape);
        var before = 0L;
        for (var round = 0; round < 30; round++)
        {
            var next = version.Fork();
            for (var row = 0; row < shape.Rows; row += 16)
                next.Writable(row)[0] = round;
            version.Dispose();
            version = next;
            if (round == 2)
                before = ResidentBytes();
        }

        // 16 MB a version.
        Assert.InRange(ResidentBytes() - before, long.MinValue, 100_000_000);
        Assert.Equal(29, version[16][0]);
        version.Dispose();
    }

    [Fact]
    public void A_disposed_table_can_not_be_forked_and_disposing_twice_is_harmless()
    {
        var table = new EmbeddingTable(Shape);
        using var fork = table.Fork();
        table.Dispose();
        table.Dispose();

        Assert.Throws<ObjectDisposedException>(table.Fork);
        Assert.Equal(0, fork[1][0]);
    }

    private static long ResidentBytes() =>
        long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
}
