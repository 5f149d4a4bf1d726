namespace KdServing.Contracts.Tests.Features;

public sealed class FeatureSchemaTests
{
    private const string Valid = """
        { "name": "shop", "targets": ["click", "buy"], "features": [
          { "name": "user_id", "side": "user", "kind": "hash", "buckets": 1000, "dim": 16 },
          { "name": "recent", "side": "user", "kind": "sequence", "table": "item", "buckets": 500, "dim": 8, "max_length": 5 },
          { "name": "hour", "side": "context", "kind": "vocabulary", "vocabulary": [9, 10], "dim": 2 },
          { "name": "item_id", "side": "item", "kind": "hash", "table": "item", "buckets": 500, "dim": 8 },
          { "name": "price", "side": "item", "kind": "numeric", "transform": "log1p", "mean": 1.5, "std": 2 },
          { "name": "clicks", "side": "item", "kind": "numeric", "volatility": "live" },
          { "name": "pair", "side": "cross", "kind": "hash", "buckets": 10, "dim": 4 },
          { "name": "ctr", "side": "privileged", "kind": "numeric" } ] }
        """;

    [Fact]
    public void Features_go_into_the_group_of_their_side_and_volatility()
    {
        var schema = FeatureSchema.Parse(Valid);

        Assert.Equal(["user_id", "recent", "hour"], schema.User.Features.Select(f => f.Name));
        Assert.Equal([0, 16, 24], schema.User.Features.Select(f => f.Offset));
        Assert.Equal((26, 9, 5, 1), (schema.User.Width, schema.Item.Width, schema.Live.Width, schema.Privileged.Width));
        Assert.Equal(["clicks", "pair"], schema.Live.Features.Select(f => f.Name));
        Assert.Equal([new("user_id", 1000, 16), new("item", 500, 8), new("hour", 3, 2), new TableShape("pair", 10, 4)], schema.Tables);
        Assert.Equal(schema.User.Features[1].HashSeed, schema.Item.Features[0].HashSeed);
        Assert.Equal([0, 1, 2], new long[] { 8, 9, 10 }.Select(schema.User.Features[2].Row));
    }

    [Theory]
    // What is replaced, by what, the field that is named, and a word of the remedy.
    [InlineData("\"shop\"", "\"Shop!\"", "name", "1 to 64 characters")]
    [InlineData("[\"click\", \"buy\"]", "[]", "targets", "at least one target")]
    [InlineData("[\"click\", \"buy\"]", "[\"click\", \"click\"]", "targets", "twice")]
    [InlineData("[\"click\", \"buy\"]", "[\"click\", \"b y\"]", "targets[1]", "a-z")]
    [InlineData("\"name\": \"hour\"", "\"name\": \"price\"", "features[4].name", "defined twice")]
    [InlineData("\"side\": \"user\", \"kind\": \"hash\"", "\"kind\": \"hash\"", "features[0].side", "user, context, item, cross, privileged")]
    [InlineData("\"kind\": \"hash\", \"buckets\": 1000", "\"buckets\": 1000", "features[0].kind", "hash, vocabulary, numeric, sequence")]
    [InlineData("\"buckets\": 1000", "\"buckets\": 0", "features[0].buckets", "from 1 to")]
    [InlineData(", \"buckets\": 1000", "", "features[0].buckets", "from 1 to")]
    [InlineData("\"dim\": 16", "\"dim\": 2000", "features[0].dim", "from 1 to 1024")]
    [InlineData("\"vocabulary\": [9, 10]", "\"vocabulary\": []", "features[2].vocabulary", "must list the ids")]
    [InlineData("\"vocabulary\": [9, 10]", "\"vocabulary\": [9, 9]", "features[2].vocabulary", "lists 9 twice")]
    [InlineData("\"max_length\": 5", "\"max_length\": 0", "features[1].max_length", "from 1 to 1000")]
    [InlineData("\"table\": \"item\", \"buckets\": 500, \"dim\": 8 }", "\"table\": \"item\", \"buckets\": 501, \"dim\": 8 }", "features[3].table", "asks for 501 of 8")]
    [InlineData("\"table\": \"item\", \"buckets\": 500, \"dim\": 8, \"max", "\"table\": \"../item\", \"buckets\": 500, \"dim\": 8, \"max", "features[1].table", "a-z")]
    [InlineData("\"std\": 2", "\"std\": 0", "features[4].std", "above 0")]
    [InlineData("\"std\": 2", "\"std\": \"Infinity\"", "features[4].std", "above 0")]
    [InlineData("\"mean\": 1.5", "\"mean\": \"NaN\"", "features[4].mean", "finite")]
    [InlineData("\"side\": \"cross\",", "\"side\": \"cross\", \"volatility\": \"live\",", "features[6].volatility", "for items")]
    [InlineData("\"side\": \"context\"", "\"side\": \"contxt\"", "features[2].side", "one of user, context, item, cross, privileged")]
    [InlineData("\"mean\": 1.5", "\"average\": 1.5", "features[4].average", "is unknown")]
    [InlineData("\"dim\": 16", "\"dim\": \"wide\"", "features[0].dim", "wrong type")]
    [InlineData("\"log1p\"", "\"log\"", "features[4].transform", "one of none, log1p")]
    [InlineData("\"live\"", "\"alive\"", "features[5].volatility", "one of static, live")]
    [InlineData("\"kind\": \"numeric\"", "\"kind\": 2", "features[4].kind", "one of hash, vocabulary, numeric, sequence")]
    public void A_broken_rule_names_its_field_and_the_remedy(string part, string replacement, string field, string remedy)
    {
        Assert.Contains(part, Valid);
        var at = Valid.IndexOf(part, StringComparison.Ordinal);
        var json = Valid[..at] + replacement + Valid[(at + part.Length)..];

        var fault = Assert.Throws<ContractException>(() => FeatureSchema.Parse(json));

        Assert.Equal(field, fault.Field);
        Assert.Contains(remedy, fault.Reason, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public void A_schema_needs_a_user_and_a_static_item_feature()
    {
        var user = """{ "name": "u", "side": "user", "kind": "numeric" }""";
        var item = """{ "name": "i", "side": "item", "kind": "numeric", "volatility": "live" }""";

        Assert.Contains("'user' or 'context'", Fault("""{ "name": "i", "side": "item", "kind": "numeric" }"""));
        Assert.Contains("static feature of side 'item'", Fault($"{user}, {item}"));
        Assert.Contains("at least one feature", Fault(""));
        Assert.Equal("schema", Assert.Throws<ContractException>(() => FeatureSchema.Parse("null")).Field);
        Assert.Equal("schema", Assert.Throws<ContractException>(() => FeatureSchema.Parse("{")).Field);
        Assert.Equal("schema", Assert.Throws<ContractException>(() => FeatureSchema.Load("/nowhere/schema.json")).Field);

        static string Fault(string features) => Assert.Throws<ContractException>(
            () => FeatureSchema.Parse($$"""{ "name": "s", "targets": ["click"], "features": [{{features}}] }""")).Message;
    }

    // The fingerprint is a contract: entries in streams and published versions carry it.
    [Fact]
    public void The_fingerprint_is_what_it_has_always_been() =>
        Assert.Equal("f0311c13db4e6aad", FeatureSchema.Parse(Valid).Fingerprint.ToString("x16", null));

    [Fact]
    public void The_fingerprint_sees_meaning_not_formatting()
    {
        var formatted = "// a comment\n" + Valid.Replace("\n", "  \n\n", StringComparison.Ordinal).Replace("1.5", "1.50", StringComparison.Ordinal);

        Assert.Equal(FeatureSchema.Parse(Valid).Fingerprint, FeatureSchema.Parse(formatted).Fingerprint);
    }

    [Theory]
    [InlineData("[\"click\", \"buy\"]", "[\"buy\", \"click\"]")]
    [InlineData("\"buckets\": 1000", "\"buckets\": 1001")]
    [InlineData("\"dim\": 16", "\"dim\": 17")]
    [InlineData("[9, 10]", "[10, 9]")]
    [InlineData("\"max_length\": 5", "\"max_length\": 6")]
    [InlineData("\"transform\": \"log1p\", ", "")]
    [InlineData("\"mean\": 1.5", "\"mean\": 1.25")]
    [InlineData("\"std\": 2", "\"std\": 3")]
    [InlineData(", \"volatility\": \"live\"", "")]
    [InlineData("\"side\": \"context\"", "\"side\": \"user\"")]
    [InlineData("\"pair\"", "\"pairs\"")]
    [InlineData("{ \"name\": \"ctr\", \"side\": \"privileged\"", "{ \"name\": \"ctr2\", \"side\": \"privileged\"")]
    public void Whatever_changes_the_meaning_changes_the_fingerprint(string part, string replacement)
    {
        Assert.Contains(part, Valid);

        var changed = FeatureSchema.Parse(Valid.Replace(part, replacement, StringComparison.Ordinal));

        Assert.NotEqual(FeatureSchema.Parse(Valid).Fingerprint, changed.Fingerprint);
    }
}
