namespace KdServing.Contracts.Tests.Embeddings;

public sealed class RowsFileTests : IDisposable
{
    private readonly EmbeddingTable[] tables = [new(new("users", 40, 3), 1, 1), new(new("items", 7, 4), 2, 1)];
    private readonly EmbeddingTable[] copies = [new(new("users", 40, 3)), new(new("items", 7, 4))];

    public void Dispose()
    {
        foreach (var table in tables.Concat(copies))
            table.Dispose();
    }

    [Fact]
    public void A_base_brings_every_row()
    {
        Assert.Equal(47, Apply(Write(null)));

        AssertRows((t, row) => tables[t][row].ToArray());
    }

    [Fact]
    public void A_delta_brings_its_rows_and_leaves_the_others()
    {
        Assert.Equal(4, Apply(Write([[0, 5, 39], [6]])));

        AssertRows((t, row) => (t, row) is (0, 0 or 5 or 39) or (1, 6) ? tables[t][row].ToArray() : new float[tables[t].Width]);
    }

    [Fact]
    public void A_delta_may_be_empty_or_whole()
    {
        Assert.Equal(7, Apply(Write([[], [0, 1, 2, 3, 4, 5, 6]])));

        AssertRows((t, row) => t == 1 ? tables[t][row].ToArray() : new float[3]);
    }

    [Fact]
    public void Floats_are_aligned_for_mapping()
    {
        var file = Write(null);
        var first = System.Runtime.InteropServices.MemoryMarshal.AsBytes(tables[0][0]).ToArray();

        Assert.Equal(0, file.AsSpan().IndexOf(first) % 64);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_file_cut_anywhere_is_refused(bool isBase)
    {
        var file = Write(isBase ? null : [[0, 5, 39], [6]]);
        for (var length = 0; length < file.Length; length++)
        {
            var fault = Assert.Throws<ContractException>(() => Apply(file[..length]));
            Assert.Equal("rows.bin", fault.Field);
        }
        Assert.Equal("rows.bin", Assert.Throws<ContractException>(() => Apply([.. file, 0])).Field);
    }

    // The hash of the manifest catches mutations; should one get by, it is refused or applied, but nothing is overrun.
    [Fact]
    public void A_mutated_file_is_refused_or_applied_within_its_tables()
    {
        var random = new Random(1);
        var file = Write([[0, 5, 39], [6]]);
        var refused = 0;
        for (var round = 0; round < 20_000; round++)
        {
            var mutated = (byte[])file.Clone();
            for (var m = random.Next(1, 4); m > 0; m--)
                mutated[random.Next(mutated.Length)] = (byte)random.Next(256);
            try
            {
                Assert.InRange(Apply(mutated), 0, 47);
            }
            catch (ContractException e)
            {
                Assert.Equal("rows.bin", e.Field);
                refused++;
            }
        }
        Assert.InRange(refused, 1, 19_999);
    }

    [Fact]
    public void Rows_of_other_tables_are_refused()
    {
        var file = Write(null);

        Assert.Contains("number of tables", Fault(new EmbeddingTable(new("users", 40, 3))));
        Assert.Contains("table 'people'", Fault(new EmbeddingTable(new("people", 40, 3)), copies[1]));
        Assert.Contains("table 'users'", Fault(new EmbeddingTable(new("users", 41, 3)), copies[1]));
        Assert.Contains("table 'users'", Fault(new EmbeddingTable(new("users", 40, 4)), copies[1]));

        string Fault(params EmbeddingTable[] others) => Assert.Throws<ContractException>(() => RowsFile.Apply(new MemoryStream(file), others, requireFinite: true)).Message;
    }

    // Whatever the pieces, down to one row, the same rows come out of them.
    [Theory]
    [InlineData(64)]
    [InlineData(100)]
    [InlineData(1 << 20)]
    public void A_file_is_applied_in_pieces(int chunkBytes)
    {
        Assert.Equal(47, RowsFile.Apply(new MemoryStream(Write(null)), copies, requireFinite: true, chunkBytes));
        AssertRows((t, row) => tables[t][row].ToArray());

        tables[0].Writable(5).Fill(9);
        tables[0].Writable(39).Fill(8);
        Assert.Equal(36, RowsFile.Apply(new MemoryStream(Write([[.. Enumerable.Range(5, 35)], [6]])), copies, requireFinite: true, chunkBytes));
        AssertRows((t, row) => tables[t][row].ToArray());
        Assert.Equal(36, RowsFile.Count(new MemoryStream(Write([[.. Enumerable.Range(5, 35)], [6]]))));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_row_that_is_not_finite_is_refused_by_name(float value)
    {
        tables[0].Writable(39)[2] = value;
        Assert.Equal($"rows.bin: table 'users' holds {value} in row 39; every value must be finite", Fault(null));
        Assert.Equal($"rows.bin: table 'users' holds {value} in row 39; every value must be finite", Fault([[0, 5, 39], [6]]));
        tables[0].Writable(39).Fill(1);
        tables[1].Writable(6)[0] = value;
        Assert.Equal($"rows.bin: table 'items' holds {value} in row 6; every value must be finite", Fault([[0], [6]]));
        // A checkpoint takes the state as it is.
        Assert.Equal(47, RowsFile.Apply(new MemoryStream(Write(null)), copies, requireFinite: false));
        Assert.Equal(value, copies[1][6][0]);

        string Fault(IReadOnlyList<int[]>? rows) => Assert.Throws<ContractException>(() => Apply(Write(rows))).Message;
    }

    private long Apply(byte[] file) => RowsFile.Apply(new MemoryStream(file), copies, requireFinite: true);

    private byte[] Write(IReadOnlyList<int[]>? rows)
    {
        using var stream = new MemoryStream();
        RowsFile.Write(stream, tables, rows);
        return stream.ToArray();
    }

    private void AssertRows(Func<int, int, float[]> expected)
    {
        for (var t = 0; t < tables.Length; t++)
        {
            for (var row = 0; row < tables[t].Rows; row++)
                Assert.Equal(expected(t, row), copies[t][row].ToArray());
        }
    }
}
