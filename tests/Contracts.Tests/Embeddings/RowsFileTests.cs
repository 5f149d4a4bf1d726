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
        Assert.Equal(47, RowsFile.Apply(Write(null), copies));

        AssertRows((t, row) => tables[t][row].ToArray());
    }

    [Fact]
    public void A_delta_brings_its_rows_and_leaves_the_others()
    {
        Assert.Equal(4, RowsFile.Apply(Write([[0, 5, 39], [6]]), copies));

        AssertRows((t, row) => (t, row) is (0, 0 or 5 or 39) or (1, 6) ? tables[t][row].ToArray() : new float[tables[t].Width]);
    }

    [Fact]
    public void A_delta_may_be_empty_or_whole()
    {
        Assert.Equal(7, RowsFile.Apply(Write([[], [0, 1, 2, 3, 4, 5, 6]]), copies));

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
            var fault = Assert.Throws<ContractException>(() => RowsFile.Apply(file.AsSpan(0, length), copies));
            Assert.Equal("rows.bin", fault.Field);
        }
        Assert.Equal("rows.bin", Assert.Throws<ContractException>(() => RowsFile.Apply([.. file, 0], copies)).Field);
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
                Assert.InRange(RowsFile.Apply(mutated, copies), 0, 47);
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

        string Fault(params EmbeddingTable[] others) => Assert.Throws<ContractException>(() => RowsFile.Apply(file, others)).Message;
    }

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
