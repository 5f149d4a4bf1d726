using Grpc.Core;
using Grpc.Net.Common;

namespace KdServing.Compat.Tests;

/// <summary>The small encodings of gRPC on HTTP/2.</summary>
public sealed class WireFormatTests
{
    [Theory]
    [InlineData(0.4, "1m")]
    [InlineData(99.99, "99m")]
    [InlineData(1_000, "1000m")]
    [InlineData(99_999_999, "99999999m")]
    [InlineData(100_000_000, "100000S")]
    [InlineData(99_999_999_999, "99999999S")]
    [InlineData(120_000_000_000, "2000000M")]
    public void A_timeout_is_written_in_the_finest_unit_that_fits(double ms, string expected) =>
        Assert.Equal(expected, TimeoutHeader.Format(TimeSpan.FromMilliseconds(ms)));

    [Fact]
    public void The_longest_timeout_is_read_back()
    {
        Assert.True(TimeoutHeader.TryParse(TimeoutHeader.Format(TimeSpan.MaxValue), out var hours));
        Assert.InRange(hours, TimeSpan.FromDays(365 * 1000), TimeSpan.MaxValue);
        Assert.True(TimeoutHeader.TryParse("99999999H", out var longest));
        Assert.Equal(TimeSpan.FromHours(99_999_999), longest);
    }

    [Theory]
    [InlineData("1H", 36_000_000_000)]
    [InlineData("2M", 1_200_000_000)]
    [InlineData("3S", 30_000_000)]
    [InlineData("4m", 40_000)]
    [InlineData("5u", 50)]
    [InlineData("600n", 6)]
    [InlineData("0m", 0)]
    public void A_timeout_is_read_in_every_unit(string value, long ticks)
    {
        Assert.True(TimeoutHeader.TryParse(value, out var timeout));
        Assert.Equal(ticks, timeout.Ticks);
    }

    [Fact]
    public void Every_message_survives_its_encoding()
    {
        var random = new Random(7);
        for (var i = 0; i < 2_000; i++)
        {
            var message = string.Concat(Enumerable.Range(0, random.Next(20)).Select(_ => char.ConvertFromUtf32(random.Next(10) switch
            {
                0 => '%',
                1 => random.Next(0x20),
                2 => random.Next(0x10000, 0x110000),
                3 => random.Next(0xA0, 0xD800),
                _ => random.Next(0x20, 0x7F),
            })));
            var encoded = StatusMessage.Encode(message);
            Assert.All(encoded, c => Assert.InRange(c, ' ', '~'));
            Assert.Equal(message, StatusMessage.Decode(encoded));
        }
    }

    [Theory]
    [InlineData("%", "%")]
    [InlineData("%4", "%4")]
    [InlineData("%4g", "%4g")]
    [InlineData("%41%", "A%")]
    [InlineData("%ff", "\uFFFD")]
    public void A_bad_encoding_is_read_as_far_as_possible(string encoded, string expected) =>
        Assert.Equal(expected, StatusMessage.Decode(encoded));

    [Fact]
    public void Metadata_keep_their_rules()
    {
        var metadata = new Metadata { { "Some-Key", "1" }, { "some-key", "2" }, { "bytes-bin", [1, 2] } };
        Assert.Equal("2", metadata.GetValue("SOME-key"));
        Assert.Equal(["1", "2"], metadata.GetAll("some-key").Select(entry => entry.Value));
        Assert.Equal([1, 2], metadata.GetValueBytes("bytes-bin"));
        Assert.Null(metadata.Get("absent"));
        Assert.Throws<ArgumentException>(() => metadata.Add("bytes-bin", "text"));
        Assert.Throws<ArgumentException>(() => metadata.Add("text", [1]));
        Assert.Throws<ArgumentException>(() => metadata.Add("a b", "text"));
        Assert.Throws<InvalidOperationException>(() => metadata.Get("bytes-bin")!.Value);
        Assert.Throws<InvalidOperationException>(() => Metadata.Empty.Add("a", "b"));
    }
}
