using KdServing.Distiller.Offline.EasyRec;

namespace KdServing.Distiller.Tests.Offline;

public sealed class TextFormatParserTests
{
    [Fact]
    public void Messages_nest_with_braces_or_angles_with_or_without_a_colon()
    {
        var message = TextFormatParser.Parse("a { b: { c < d: 1 > } } e: <f: 2>");

        Assert.Equal("1", message.Named("a").Single().Message!.Named("b").Single().Message!.Named("c").Single().Message!.Named("d").Single().Scalar!.Text);
        Assert.Equal("2", message.Named("e").Single().Message!.Named("f").Single().Scalar!.Text);
    }

    [Fact]
    public void Repeated_fields_are_fields_again_or_lists()
    {
        var message = TextFormatParser.Parse("x: 1 x: 2, x: [3, 4]; x: [] m [{a: 1}, <a: 2>]");

        Assert.Equal(["1", "2", "3", "4"], message.Named("x").Select(f => f.Scalar!.Text));
        Assert.Equal(2, message.Named("m").Count());
    }

    [Theory]
    [InlineData("""a: "tab\t \"quoted\" back\\slash" """, "tab\t \"quoted\" back\\slash")]
    [InlineData("""a: 'it\'s' """, "it's")]
    [InlineData("""a: "\346\216\222\u5e8f\U0001F600\x41" """, "排序😀A")]
    [InlineData("a: \"one \"  # a comment\n   'string'", "one string")]
    [InlineData("a: '粗排'", "粗排")]
    public void Strings_are_unescaped_and_joined(string text, string value)
    {
        var scalar = TextFormatParser.Parse(text).Named("a").Single().Scalar!;

        Assert.Equal(TextScalarKind.Text, scalar.Kind);
        Assert.Equal(value, scalar.Text);
    }

    [Theory]
    [InlineData("-3", TextScalarKind.Number, "-3")]
    [InlineData("- .5e-3f", TextScalarKind.Number, "-.5e-3f")]
    [InlineData("0x1F", TextScalarKind.Number, "0x1F")]
    [InlineData("true", TextScalarKind.Word, "true")]
    [InlineData("-inf", TextScalarKind.Word, "-inf")]
    [InlineData("KL_DIVERGENCE_LOSS", TextScalarKind.Word, "KL_DIVERGENCE_LOSS")]
    public void Scalars_keep_their_kind(string value, TextScalarKind kind, string text)
    {
        var scalar = TextFormatParser.Parse($"a: {value}").Named("a").Single().Scalar!;

        Assert.Equal((kind, text), (scalar.Kind, scalar.Text));
    }

    [Fact]
    public void Comments_extensions_and_omissions_are_read()
    {
        var message = TextFormatParser.Parse("# first\n[easy.rec.extra] { a: 1 } # last\n...\n[type.googleapis.com/x.Y] {}");

        Assert.Equal(["[easy.rec.extra]", TextFormatParser.Omission, "[type.googleapis.com/x.Y]"], message.Fields.Select(f => f.Name));
    }

    [Theory]
    [InlineData("a: 1\nb {\n  c: 2\n", 2, 3)]
    [InlineData("a: 1\n  b 2", 2, 5)]
    [InlineData("a: \"open\nb: 1", 1, 4)]
    [InlineData("a: \"\\q\"", 1, 5)]
    [InlineData("a: [1 2]", 1, 7)]
    [InlineData("a: 1\n}", 2, 1)]
    [InlineData("a: {b: 1>", 1, 9)]
    [InlineData("a: \"\\ud800\"", 1, 5)]
    [InlineData("a: @", 1, 4)]
    [InlineData("[a: 1", 1, 1)]
    public void Errors_name_line_and_column(string text, int line, int column)
    {
        var error = Assert.Throws<TextFormatException>(() => TextFormatParser.Parse(text));

        Assert.Equal(new TextPosition(line, column), error.Position);
    }

    [Fact]
    public void Endless_nesting_is_refused() =>
        Assert.Throws<TextFormatException>(() => TextFormatParser.Parse(string.Concat(Enumerable.Repeat("a {", 10_000))));
}
