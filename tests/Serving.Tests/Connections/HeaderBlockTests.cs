using System.Text;
using KdServing.Serving.Connections;

namespace KdServing.Serving.Tests.Connections;

public sealed class HeaderBlockTests
{
    [Fact]
    public void A_ranking_call_is_known_by_its_path()
    {
        Assert.Equal(HeaderBlockKind.Ranking, Kind(WireFrames.Plain()));
        Assert.Equal(HeaderBlockKind.Ranking, Kind(WireFrames.Compressed(HeaderBlock.CompressedRankPath)));
        Assert.Equal(HeaderBlockKind.Ranking, Kind(Spelt(WireFrames.RankPath)));
        Assert.Equal(HeaderBlockKind.Other, Kind(Spelt("/other")));
        Assert.Equal(HeaderBlockKind.Other, Kind(WireFrames.Plain(WireFrames.RankPath + "Stream")));
        Assert.Equal(HeaderBlockKind.Other, Kind(WireFrames.Plain("/grpc.health.v1.Health/Check")));
        Assert.Equal(HeaderBlockKind.Other, Kind(WireFrames.Compressed(HeaderBlock.CompressedRankPath[..^1])));
        Assert.Equal(HeaderBlockKind.Other, Kind([0x83, 0x86]));
    }

    [Fact]
    public void What_the_table_has_to_do_with_is_left_alone()
    {
        Assert.Equal(HeaderBlockKind.UsesTable, Kind(WireFrames.Indexed()));
        Assert.Equal(HeaderBlockKind.UsesTable, Kind([.. WireFrames.Plain(), 0xbe])); // entry 62: the table's newest
        Assert.Equal(HeaderBlockKind.UsesTable, Kind([.. WireFrames.Plain(), 0x0f, 62 - 15, 1, (byte)'1']));
        Assert.Equal(HeaderBlockKind.UsesTable, Kind([0x3f, 0xe1, 0x1f, .. WireFrames.Plain()])); // a table of 4096 bytes
    }

    [Fact]
    public void What_is_added_to_an_empty_table_is_not_kept()
    {
        Assert.Equal(HeaderBlockKind.UsesTable, HeaderBlock.Read([0x20, .. WireFrames.Indexed()], tableIsEmpty: false).Kind);
        Assert.True(EmptiesTable([0x20, .. WireFrames.Indexed()]));
        Assert.Equal(HeaderBlockKind.Ranking, HeaderBlock.Read(WireFrames.Indexed(), tableIsEmpty: true).Kind);
        Assert.Equal(HeaderBlockKind.UsesTable, HeaderBlock.Read([.. WireFrames.Indexed(), 0xbe], tableIsEmpty: true).Kind);
        Assert.False(EmptiesTable([0x3f, 0xe1, 0x1f, .. WireFrames.Plain()]));
        // Emptied, and enlarged again: a way to forget what is in it.
        Assert.False(EmptiesTable([0x20, 0x3f, 0xe1, 0x1f, .. WireFrames.Plain()]));
    }

    [Fact]
    public void A_call_as_gRPC_has_it_is_plain()
    {
        Assert.True(Read(WireFrames.Plain()).IsPlain);
        Assert.False(Read(WireFrames.Plain("/other")).IsPlain);
        // GET, entry 2 of the static table.
        byte[] get = [0x82, .. WireFrames.Plain().AsSpan(1)];
        Assert.Equal((HeaderBlockKind.Ranking, false), (Read(get).Kind, Read(get).IsPlain));
        Assert.True(Read([.. get, .. Literal(":method", "POST")]).IsPlain);
        Assert.False(Read([.. WireFrames.Plain(), .. Literal("content-type", "application/json")]).IsPlain);
        Assert.True(Read([.. WireFrames.Plain(), .. Literal("content-type", "application/grpc+proto")]).IsPlain);
        Assert.True(Read([.. WireFrames.Plain(), .. Coded("content-type", "application/grpc")]).IsPlain);
        Assert.False(Read([.. WireFrames.Plain(), .. Coded("content-type", "text/html")]).IsPlain);
        Assert.True(Read([.. WireFrames.Plain(), .. Literal("grpc-encoding", "identity")]).IsPlain);
        Assert.False(Read([.. WireFrames.Plain(), .. Literal("grpc-encoding", "gzip")]).IsPlain);
        Assert.True(Read([.. WireFrames.Plain(), .. Literal("x-request", "x-y z")]).IsPlain);
    }

    [Theory]
    [InlineData("3H", 3 * 3600e3)]
    [InlineData("2M", 120e3)]
    [InlineData("5S", 5000)]
    [InlineData("150m", 150)]
    [InlineData("99999999u", 99_999.999)]
    [InlineData("1n", 0.0001)]
    public void Timeouts_are_read_compressed_or_not(string text, double milliseconds)
    {
        foreach (var header in (byte[][])[Literal("grpc-timeout", text), Coded("grpc-timeout", text)])
        {
            var block = Read([.. WireFrames.Plain(), .. header]);
            Assert.True(block.IsPlain);
            Assert.Equal(milliseconds, block.Timeout!.Value.TotalMilliseconds, 1e-4);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("5s")]
    [InlineData("-1m")]
    [InlineData("123456789m")]
    public void A_timeout_that_is_none_is_left_to_Kestrel(string text)
    {
        var block = Read([.. WireFrames.Plain(), .. Literal("grpc-timeout", text)]);
        Assert.Equal((HeaderBlockKind.Ranking, false), (block.Kind, block.IsPlain));
    }

    [Fact]
    public void A_damaged_block_is_left_alone()
    {
        var good = WireFrames.Plain();
        // The path is the third field: with all of it there, the rest may be short of anything but a text.
        for (var length = 0; length < good.Length; length++)
            Assert.True(Kind(good[..length]) is HeaderBlockKind.Other || length > WireFrames.RankPath.Length + 3, $"cut to {length} bytes");
        Assert.Equal(HeaderBlockKind.Other, Kind([0x04, 0xff, 0xff, 0xff, 0xff, 0x7f]));
        var random = new Random(1);
        for (var i = 0; i < 20_000; i++)
            Kind(HostileBytes.Mutate(good, random));
    }

    private static byte[] Spelt(string path) =>
        [0x00, 5, .. ":path"u8, (byte)path.Length, .. Encoding.ASCII.GetBytes(path), 0x00, 2, .. "te"u8, 8, .. "trailers"u8];

    private static byte[] Literal(string name, string value) =>
        [0x00, (byte)name.Length, .. Encoding.ASCII.GetBytes(name), (byte)value.Length, .. Encoding.ASCII.GetBytes(value)];

    private static byte[] Coded(string name, string value)
    {
        var (codedName, codedValue) = (HuffmanText.Encode(name), HuffmanText.Encode(value));
        return [0x00, (byte)(0x80 | codedName.Length), .. codedName, (byte)(0x80 | codedValue.Length), .. codedValue];
    }

    private static HeaderBlock Read(ReadOnlySpan<byte> block) => HeaderBlock.Read(block, tableIsEmpty: false);

    private static HeaderBlockKind Kind(ReadOnlySpan<byte> block) => Read(block).Kind;

    private static bool EmptiesTable(ReadOnlySpan<byte> block) => Read(block).EmptiesTable;
}
