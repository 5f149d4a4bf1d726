using Google.Protobuf;

namespace KdServing.Contracts.Tests.Features;

public sealed class ColumnReaderTests
{
    private static readonly FeatureSchema Schema = FeatureSchema.Parse("""
        { "name": "shop", "targets": ["click"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 10, "dim": 2 },
          { "name": "recent", "side": "user", "kind": "sequence", "buckets": 10, "dim": 2, "max_length": 2 },
          { "name": "price", "side": "item", "kind": "numeric" } ] }
        """);

    public static TheoryData<string, string, Column[]> Broken => new()
    {
        { "user", "feature 'recent' is missing; expected: user_id, recent", [Id()] },
        { "user[1].name", "unknown feature 'price'", [Id(), new() { Name = "price", Floats = new() { Value = { 1 } } }] },
        { "user[1].name", "unknown feature '???", [Id(), new() { Name = "\a\n\u001b" + new string('x', 500), Ints = new() }] },
        { "user[2].name", "given twice", [Id(), Recent(), Id()] },
        { "user[0]", "must be sent as ints, raw_int64 or strings, not None", [new() { Name = "user_id" }, Recent()] },
        { "user[0]", "must be sent as ints, raw_int64 or strings, not Floats", [new() { Name = "user_id", Floats = new() { Value = { 1 } } }, Recent()] },
        { "user[1]", "must be sent as sequences, not Ints", [Id(), new() { Name = "recent", Ints = new() { Value = { 1 } } }] },
        { "user[0]", "has 2 values, expected 1 for 1 rows", [new() { Name = "user_id", Ints = new() { Value = { 1, 2 } } }, Recent()] },
        { "user[0]", "has 0 values", [new() { Name = "user_id", Strings = new() }, Recent()] },
        { "user[0]", "has 9 bytes, expected 8", [new() { Name = "user_id", RawInt64 = ByteString.CopyFrom(new byte[9]) }, Recent()] },
        { "user[1].sequences", "has 3 values, but its lengths add up to 2", [Id(), Recent([1, 2, 3], [2])] },
        { "user[1].sequences.lengths", "negative length", [Id(), Recent([], [-1])] },
        { "user[1].sequences", "has 0 values, but its lengths add up to", [Id(), Recent([], [int.MaxValue])] },
        { "user[1]", "has 2 values, expected 1", [Id(), Recent([1, 2], [1, 1])] },
    };

    [Theory]
    [MemberData(nameof(Broken))]
    public void A_column_that_does_not_fit_is_named(string field, string reason, Column[] columns)
    {
        var fault = Assert.Throws<ContractException>(() =>
            ColumnReader.Match(columns, "user", 1, [Schema.User], new Column[2]));

        Assert.Equal(field, fault.Field);
        Assert.Contains(reason, fault.Reason);
        Assert.DoesNotContain(fault.Reason, char.IsControl);
        Assert.InRange(fault.Message.Length, 1, 300);
    }

    [Fact]
    public void Columns_may_come_in_any_order()
    {
        var found = new Column[2];

        ColumnReader.Match([Recent(), Id()], "user", 1, [Schema.User], found);

        Assert.Equal(["user_id", "recent"], found.Select(c => c.Name));
    }

    [Fact]
    public void Strings_and_their_ids_name_the_same_row()
    {
        var feature = Schema.User.Features[0];
        var rows = new int[2];
        ColumnReader.ReadTableRows(feature, new() { Strings = new() { Value = { "ann", "bob" } } }, rows);

        Assert.Equal([feature.Row(FeatureHash.StringId("ann")), feature.Row(FeatureHash.StringId("bob"))], rows);
    }

    [Fact]
    public void Sequences_are_cut_at_their_length()
    {
        var feature = Schema.User.Features[1];
        var (rows, lengths) = (new List<int>(), new int[3]);

        ColumnReader.ReadSequences(feature, Recent([1, 2, 3, 4], [3, 0, 1]), rows, lengths);

        Assert.Equal([2, 0, 1], lengths);
        Assert.Equal([feature.Row(1), feature.Row(2), feature.Row(4)], rows);
    }

    private static Column Id() => new() { Name = "user_id", Ints = new() { Value = { 7 } } };

    private static Column Recent() => Recent([1, 2], [2]);

    private static Column Recent(long[] values, int[] lengths) =>
        new() { Name = "recent", Sequences = new() { Value = { values }, Lengths = { lengths } } };
}
