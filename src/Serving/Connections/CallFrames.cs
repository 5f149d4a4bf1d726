using System.Globalization;
using System.Text;
using Grpc.Core;

namespace KdServing.Serving.Connections;

/// <summary>Header frames of replies and of errors, as gRPC has them over HTTP/2.</summary>
/// <remarks>Literals that name no table (RFC 7541, section 6.2.2): they are understood whatever was sent before on the connection.</remarks>
internal static class CallFrames
{
    public const string ContentType = "application/grpc";

    // However it is encoded, that many characters fit into one frame.
    private const int MaxMessage = 1024;

    /// <summary>A HEADERS frame that begins a reply; the stream's number is written over it.</summary>
    public static readonly byte[] Headers = Encode(Http2Frame.EndHeaders, Opening());

    /// <summary>The HEADERS frame that ends it: all is well.</summary>
    public static readonly byte[] Trailers = Encode(Http2Frame.EndHeaders | Http2Frame.EndStream, AllIsWell());

    /// <summary>A HEADERS frame that is all of an answer ("Trailers-Only").</summary>
    public static byte[] Failure(StatusCode code, string message, IEnumerable<Metadata.Entry> trailers)
    {
        var block = Opening();
        Hpack.AddLiteral(block, "grpc-status", ((int)code).ToString(CultureInfo.InvariantCulture));
        Hpack.AddLiteral(block, "grpc-message", Percent(message.Length > MaxMessage ? message[..MaxMessage] : message));
        foreach (var trailer in trailers)
            Hpack.AddLiteral(block, trailer.Key, trailer.IsBinary ? Convert.ToBase64String(trailer.ValueBytes) : trailer.Value);
        return Encode(Http2Frame.EndHeaders | Http2Frame.EndStream, block);
    }

    private static List<byte> Opening()
    {
        List<byte> block = [0x88, 0x0f, 31 - 0x0f]; // :status 200 and content-type, entries 8 and 31 of the static table
        Hpack.AddText(block, ContentType);
        return block;
    }

    private static List<byte> AllIsWell()
    {
        List<byte> block = [];
        Hpack.AddLiteral(block, "grpc-status", "0");
        return block;
    }

    private static byte[] Encode(int flags, List<byte> block)
    {
        var frame = new byte[Http2Frame.HeaderBytes + block.Count];
        Http2Frame.Write(frame, block.Count, FrameType.Headers, (byte)flags, 0);
        block.CopyTo(frame, Http2Frame.HeaderBytes);
        return frame;
    }

    // gRPC's status message: UTF-8, what is no printable ASCII in percent-encoding.
    private static string Percent(string message)
    {
        var text = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(message))
        {
            if (b is >= 0x20 and <= 0x7e and not (byte)'%')
                text.Append((char)b);
            else
                text.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }
        return text.ToString();
    }
}
