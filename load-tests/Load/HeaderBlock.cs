using System.Globalization;
using KdServing.Serving.Connections;

namespace KdServing.LoadTests.Load;

/// <summary>Request headers as HPACK literals (RFC 7541) that need no table: encoded once, sent with every request.</summary>
internal sealed class HeaderBlock
{
    private const int TimeoutDigits = 8; // the most a grpc-timeout may have
    private readonly List<byte> bytes = [];

    /// <param name="authority">Host and port.</param>
    /// <param name="path">Of the method, e.g. <c>/kdserving.v1.Ranking/Rank</c>.</param>
    /// <param name="withDeadline">Leaves room for a <c>grpc-timeout</c>, see <see cref="WriteTimeout"/>.</param>
    public HeaderBlock(string authority, string path, bool withDeadline)
    {
        bytes.Add(0x83); // :method POST, entry 3 of the static table
        bytes.Add(0x86); // :scheme http, entry 6
        bytes.Add(0x04); // :path, entry 4
        Hpack.AddText(bytes, path);
        bytes.Add(0x01); // :authority, entry 1
        Hpack.AddText(bytes, authority);
        bytes.AddRange([0x0f, 31 - 15]); // content-type, entry 31: a four-bit prefix holds 15
        Hpack.AddText(bytes, "application/grpc");
        Hpack.AddLiteral(bytes, "te", "trailers");
        TimeoutAt = -1;
        if (withDeadline)
        {
            Hpack.AddLiteral(bytes, "grpc-timeout", new string('0', TimeoutDigits) + "m");
            TimeoutAt = bytes.Count - TimeoutDigits - 1;
        }
        Bytes = [.. bytes];
    }

    public byte[] Bytes { get; }

    /// <summary>Where the digits of <c>grpc-timeout</c> begin; -1 without a deadline.</summary>
    public int TimeoutAt { get; }

    /// <summary>Overwrites the milliseconds of a <c>grpc-timeout</c>; at least one.</summary>
    public static void WriteTimeout(Span<byte> digits, long ms)
    {
        ms = Math.Clamp(ms, 1, 99_999_999);
        for (var d = TimeoutDigits - 1; d >= 0; d--, ms /= 10)
            digits[d] = (byte)('0' + ms % 10);
    }
}

/// <summary>The two things a reply's headers are read for.</summary>
/// <param name="GrpcStatus">-1: the block has none (headers before a message).</param>
/// <param name="PushbackMs"><c>grpc-retry-pushback-ms</c>; -1: none.</param>
internal readonly record struct ReplyHeaders(int GrpcStatus, int PushbackMs)
{
    /// <summary>Reads a header block whose sender was told to use no dynamic table.</summary>
    /// <exception cref="Http2Exception">The block is damaged, or refers to a table it must not use.</exception>
    public static ReplyHeaders Read(ReadOnlySpan<byte> block)
    {
        var (status, pushback) = (-1, -1);
        while (!block.IsEmpty)
        {
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                // An entry of the static table: none of them is ours.
                if (Integer(ref block, 7) > 61)
                    throw new Http2Exception("a reply's headers refer to a table that was declined");
                continue;
            }
            if ((first & 0xe0) == 0x20)
            {
                Integer(ref block, 5); // the table's size, zero
                continue;
            }
            var name = Integer(ref block, (first & 0x40) != 0 ? 6 : 4) == 0 ? Text(ref block) : default;
            var value = Text(ref block);
            if (name.SequenceEqual("grpc-status"u8))
                status = Number(value);
            else if (name.SequenceEqual("grpc-retry-pushback-ms"u8))
                pushback = Number(value);
        }
        return new(status, pushback);
    }

    private static int Number(ReadOnlySpan<byte> digits) =>
        int.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : (int)Grpc.Core.StatusCode.Unknown;

    // Kestrel does not compress; what another server compresses is left unread, and shows as UNKNOWN where it was the status.
    private static ReadOnlySpan<byte> Text(ref ReadOnlySpan<byte> block) => Hpack.TryText(ref block, out var text, out var isCompressed)
        ? isCompressed ? default : text
        : throw new Http2Exception("a reply's headers are cut short");

    private static int Integer(ref ReadOnlySpan<byte> block, int prefixBits) =>
        Hpack.TryInteger(ref block, prefixBits, out var value) ? value : throw new Http2Exception("a reply's headers are cut short");
}

/// <summary>The other side does not speak HTTP/2 as it must.</summary>
internal sealed class Http2Exception(string message) : IOException(message);
