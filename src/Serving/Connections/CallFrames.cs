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
    public static readonly byte[] Trailers = Encode(Http2Frame.EndHeaders | Http2Frame.EndStream, Literal([], "grpc-status", "0"));

    /// <summary>A HEADERS frame that is all of an answer ("Trailers-Only").</summary>
    public static byte[] Failure(StatusCode code, string message, IEnumerable<Metadata.Entry> trailers)
    {
        var block = Opening();
        Literal(block, "grpc-status", ((int)code).ToString(CultureInfo.InvariantCulture));
        Literal(block, "grpc-message", Percent(message.Length > MaxMessage ? message[..MaxMessage] : message));
        foreach (var trailer in trailers)
            Literal(block, trailer.Key, trailer.IsBinary ? Convert.ToBase64String(trailer.ValueBytes) : trailer.Value);
        return Encode(Http2Frame.EndHeaders | Http2Frame.EndStream, block);
    }

    private static List<byte> Opening()
    {
        List<byte> block = [0x88, 0x0f, 31 - 0x0f]; // :status 200 and content-type, entries 8 and 31 of the static table
        Text(block, ContentType);
        return block;
    }

    private static byte[] Encode(int flags, List<byte> block)
    {
        var frame = new byte[Http2Frame.HeaderBytes + block.Count];
        Http2Frame.Write(frame, block.Count, FrameType.Headers, (byte)flags, 0);
        block.CopyTo(frame, Http2Frame.HeaderBytes);
        return frame;
    }

    private static List<byte> Literal(List<byte> block, string name, string value)
    {
        block.Add(0);
        Text(block, name);
        Text(block, value);
        return block;
    }

    // RFC 7541, sections 5.1 and 5.2.
    private static void Text(List<byte> block, string text)
    {
        var bytes = Encoding.ASCII.GetBytes(text);
        if (bytes.Length < 127)
            block.Add((byte)bytes.Length);
        else
        {
            block.Add(127);
            var rest = bytes.Length - 127;
            for (; rest >= 128; rest >>= 7)
                block.Add((byte)(rest | 0x80));
            block.Add((byte)rest);
        }
        block.AddRange(bytes);
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
