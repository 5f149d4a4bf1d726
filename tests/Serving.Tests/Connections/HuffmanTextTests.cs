using System.Text;
using KdServing.Serving.Connections;

namespace KdServing.Serving.Tests.Connections;

public sealed class HuffmanTextTests
{
    // RFC 7541, appendix C.4.1, C.4.3 and C.6.1.
    [Theory]
    [InlineData("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff")]
    [InlineData("no-cache", "a8eb10649cbf")]
    [InlineData("custom-value", "25a849e95bb8e8b4bf")]
    [InlineData("302", "6402")]
    [InlineData("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff")]
    public void It_is_the_code_of_the_standard(string text, string coded)
    {
        Span<byte> room = stackalloc byte[64];
        var bytes = Convert.FromHexString(coded);
        // A comma has eight bits.
        if (text.Contains(','))
        {
            Assert.Equal(-1, HuffmanText.Decode(bytes, room));
            return;
        }
        Assert.Equal(bytes, HuffmanText.Encode(text));
        Assert.Equal(text, Encoding.ASCII.GetString(room[..HuffmanText.Decode(bytes, room)]));
    }

    [Fact]
    public void What_was_coded_is_read_again()
    {
        const string Characters = "012aceiost %-./3456789=A_bdfghlmnpru:BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz";
        var random = new Random(1);
        Span<byte> room = stackalloc byte[64];
        for (var i = 0; i < 20_000; i++)
        {
            var text = new string(random.GetItems(Characters.AsSpan(), random.Next(room.Length + 1)));
            var length = HuffmanText.Decode(HuffmanText.Encode(text), room);
            Assert.Equal(text, Encoding.ASCII.GetString(room[..Math.Max(0, length)]));
        }
    }

    [Fact]
    public void What_is_none_of_it_is_told()
    {
        Assert.Equal(-1, HuffmanText.Decode([0xff, 0xff, 0xff, 0xff], new byte[64]));
        // Padding of a whole byte, and of zeros.
        Assert.Equal(-1, HuffmanText.Decode([.. HuffmanText.Encode("302"), 0xff], new byte[64]));
        Assert.Equal(-1, HuffmanText.Decode([0b0000_1000], new byte[64]));
        Assert.Equal(-1, HuffmanText.Decode(HuffmanText.Encode("longer"), new byte[5]));
        Assert.Equal(0, HuffmanText.Decode([], []));
    }
}
