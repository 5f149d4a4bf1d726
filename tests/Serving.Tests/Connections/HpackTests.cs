using KdServing.Serving.Connections;

namespace KdServing.Serving.Tests.Connections;

public sealed class HpackTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(126)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(254)]
    [InlineData(255)]
    [InlineData(20_000)]
    public void A_literal_is_read_as_it_was_written(int length)
    {
        List<byte> block = [];
        Hpack.AddLiteral(block, "name", new('v', length));
        block.Add(7);
        ReadOnlySpan<byte> rest = block.ToArray();
        Assert.True(Hpack.TryInteger(ref rest, 4, out var entry) && entry == 0);
        Assert.True(Hpack.TryText(ref rest, out var name, out var isCompressed) && !isCompressed && name.SequenceEqual("name"u8));
        Assert.True(Hpack.TryText(ref rest, out var value, out isCompressed) && !isCompressed);
        Assert.Equal((length, length), (value.Length, value.Count((byte)'v')));
        Assert.Equal(7, Assert.Single(rest.ToArray()));
    }

    // RFC 7541, appendix C.1.
    [Theory]
    [InlineData(5, 10, 0b1110_1010)]
    [InlineData(5, 1337, 0b1111_1111, 0b1001_1010, 0b0000_1010)]
    [InlineData(8, 42, 0b0010_1010)]
    public void Numbers_are_those_of_the_standard(int prefixBits, int expected, params int[] bytes)
    {
        ReadOnlySpan<byte> rest = bytes.Select(b => (byte)b).ToArray();
        Assert.True(Hpack.TryInteger(ref rest, prefixBits, out var value));
        Assert.Equal((expected, 0), (value, rest.Length));
    }

    [Theory]
    [InlineData]
    [InlineData(0xff)]
    [InlineData(0xff, 0x80, 0x80)]
    [InlineData(0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)]
    public void What_is_cut_short_or_too_large_is_none(params int[] bytes)
    {
        ReadOnlySpan<byte> rest = bytes.Select(b => (byte)b).ToArray();
        Assert.False(Hpack.TryInteger(ref rest, 7, out _));
    }

    [Fact]
    public void A_text_longer_than_the_block_is_none()
    {
        ReadOnlySpan<byte> rest = [3, (byte)'a', (byte)'b'];
        Assert.False(Hpack.TryText(ref rest, out _, out _));
    }
}
