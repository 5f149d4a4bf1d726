using System.Runtime.InteropServices;
using Google.Protobuf;

namespace KdServing.Contracts.Tests.Features;

public sealed class FeatureAssemblerTests
{
    private static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "shop", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 100, "dim": 3 },
          { "name": "history", "side": "user", "kind": "sequence", "table": "items", "buckets": 50, "dim": 2, "max_length": 3 },
          { "name": "hour", "side": "context", "kind": "vocabulary", "vocabulary": [9, 10, 11], "dim": 2 },
          { "name": "item_id", "side": "item", "kind": "hash", "table": "items", "buckets": 50, "dim": 2 },
          { "name": "price", "side": "item", "kind": "numeric", "transform": "log1p", "mean": 1, "std": 2 },
          { "name": "clicks", "side": "item", "kind": "numeric", "volatility": "live", "mean": 10, "std": 5 },
          { "name": "same_shop", "side": "cross", "kind": "vocabulary", "vocabulary": [1], "dim": 2 } ] }
        """);

    private readonly EmbeddingTable[] tables = [.. Schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)i, 1))];

    [Fact]
    public void A_row_holds_each_feature_at_its_offset()
    {
        Column[] user = [Ints("user_id", 7), Sequences("history", [5, 6]), Ints("hour", 11)];
        var matrix = new float[Schema.User.Width];

        new FeatureAssembler(Schema, tables).AssembleUser(user, matrix);

        var items = tables[1];
        var five = items[Row("history", 5)];
        var six = items[Row("history", 6)];
        float[] expected = [.. tables[0][Row("user_id", 7)], (five[0] + six[0]) / 2, (five[1] + six[1]) / 2, .. tables[2][3]];
        Assert.Equal(expected, matrix);
    }

    [Fact]
    public void A_sequence_uses_its_first_ids_and_is_zero_when_empty()
    {
        var matrix = Enumerable.Repeat(float.NaN, 2 * Schema.User.Width).ToArray();
        Column[] user = [Ints("user_id", 1, 2), Sequences("history", [5, 6, 7, 8], []), Ints("hour", 9, 9)];

        new FeatureAssembler(Schema, tables).AssembleUser(user, matrix, rows: 2);

        var items = tables[1];
        var first = (items[Row("history", 5)][0] + items[Row("history", 6)][0] + items[Row("history", 7)][0]) / 3;
        Assert.Equal(first, matrix[3]);
        Assert.Equal([0f, 0f], matrix[(Schema.User.Width + 3)..(Schema.User.Width + 5)]);
    }

    [Fact]
    public void Every_spelling_of_a_column_gives_the_same_floats()
    {
        var assembler = new FeatureAssembler(Schema, tables);
        float[] prices = [0, 2.5f, -3];
        Column[] packed = [Ints("item_id", 3, 4, 5), Floats("price", prices), Floats("clicks", prices), Ints("same_shop", 1, 0, 9)];
        Column[] raw =
        [
            new() { Name = "item_id", RawInt64 = Bytes<long>(3, 4, 5) }, new() { Name = "price", RawFloat32 = Bytes(prices) },
            new() { Name = "clicks", RawFloat32 = Bytes(prices) }, new() { Name = "same_shop", RawInt64 = Bytes<long>(1, 0, 9) },
        ];
        var (item, live) = (new float[3 * Schema.Item.Width], new float[3 * Schema.Live.Width]);
        var (itemRaw, liveRaw) = (new float[3 * Schema.Item.Width], new float[3 * Schema.Live.Width]);

        assembler.AssembleItems(packed, 3, item, live);
        assembler.AssembleItems(raw, 3, itemRaw, liveRaw);

        Assert.Equal(item, itemRaw);
        Assert.Equal(live, liveRaw);
        Assert.Equal([.. tables[1][Row("item_id", 4)], (MathF.Log(3.5f) - 1) / 2], item[3..6]);
        Assert.Equal([(0f - 10) / 5, .. tables[3][1], (2.5f - 10) / 5, .. tables[3][0]], live[..6]);
    }

    [Fact]
    public void A_number_that_is_not_finite_is_named()
    {
        var assembler = new FeatureAssembler(Schema, tables);
        Column[] item = [Ints("item_id", 3), Floats("price", float.NaN), Floats("clicks", 1), Ints("same_shop", 1)];

        var fault = Assert.Throws<ContractException>(() =>
            assembler.AssembleItems(item, 1, new float[Schema.Item.Width], new float[Schema.Live.Width]));

        Assert.Equal("price", fault.Field);
    }

    [Fact]
    public void Assembling_allocates_nothing()
    {
        var assembler = new FeatureAssembler(Schema, tables);
        var ids = Enumerable.Range(0, 500).Select(i => (long)i).ToArray();
        var numbers = ids.Select(i => (float)i).ToArray();
        Column[] item = [Ints("item_id", ids), Floats("price", numbers), Floats("clicks", numbers), Ints("same_shop", ids)];
        var (i, l) = (new float[500 * Schema.Item.Width], new float[500 * Schema.Live.Width]);
        assembler.AssembleItems(item, 500, i, l);

        var before = GC.GetAllocatedBytesForCurrentThread();
        assembler.AssembleItems(item, 500, i, l);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static int Row(string feature, long id) =>
        Schema.User.Features.Concat(Schema.Item.Features).First(f => f.Name == feature).Row(id);

    private static Column Ints(string name, params long[] values) => new() { Name = name, Ints = new() { Value = { values } } };

    private static Column Floats(string name, params float[] values) => new() { Name = name, Floats = new() { Value = { values } } };

    private static Column Sequences(string name, params long[][] values) => new()
    {
        Name = name,
        Sequences = new() { Value = { values.SelectMany(v => v) }, Lengths = { values.Select(v => v.Length) } },
    };

    private static ByteString Bytes<T>(params T[] values) where T : unmanaged =>
        ByteString.CopyFrom(MemoryMarshal.AsBytes<T>(values));
}
