using KdServing.Serving.Shedding;

namespace KdServing.Serving.Tests.Shedding;

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
        Assert.Equal(HeaderBlockKind.UsesTable, HeaderBlock.Read([0x20, .. WireFrames.Indexed()], tableIsEmpty: false, out var emptiesTable));
        Assert.True(emptiesTable);
        Assert.Equal(HeaderBlockKind.Ranking, HeaderBlock.Read(WireFrames.Indexed(), tableIsEmpty: true, out _));
        Assert.Equal(HeaderBlockKind.UsesTable, HeaderBlock.Read([.. WireFrames.Indexed(), 0xbe], tableIsEmpty: true, out _));
        HeaderBlock.Read([0x3f, 0xe1, 0x1f, .. WireFrames.Plain()], tableIsEmpty: false, out emptiesTable);
        Assert.False(emptiesTable);
        // Emptied, and enlarged again: a way to forget what is in it.
        HeaderBlock.Read([0x20, 0x3f, 0xe1, 0x1f, .. WireFrames.Plain()], tableIsEmpty: false, out emptiesTable);
        Assert.False(emptiesTable);
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
        [0x00, 5, .. ":path"u8, (byte)path.Length, .. System.Text.Encoding.ASCII.GetBytes(path), 0x00, 2, .. "te"u8, 8, .. "trailers"u8];

    private static HeaderBlockKind Kind(ReadOnlySpan<byte> block) => HeaderBlock.Read(block, tableIsEmpty: false, out _);
}
