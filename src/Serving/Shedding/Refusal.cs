using System.Globalization;
using System.Text;
using Grpc.Core;
using KdServing.Serving.Ranking;
using Microsoft.Extensions.Primitives;

namespace KdServing.Serving.Shedding;

/// <summary>What is said to a ranking request that would wait so long: headers alone, as gRPC has it for errors before a message ("Trailers-Only").</summary>
internal sealed class Refusal
{
    public const string ContentType = "application/grpc";

    public static readonly string Status = ((int)StatusCode.ResourceExhausted).ToString(CultureInfo.InvariantCulture);

    public Refusal(double waitMs)
    {
        WaitMs = waitMs;
        Message = OverloadException.Words(waitMs);
        Pushback = waitMs.ToString(CultureInfo.InvariantCulture);
        Frame = Encode();
    }

    /// <summary>Whole milliseconds.</summary>
    public double WaitMs { get; }

    public StringValues Message { get; }

    /// <summary>For <see cref="OverloadException.PushbackTrailer"/>.</summary>
    public StringValues Pushback { get; }

    /// <summary>A HEADERS frame that ends stream 0; the stream's number is written over it.</summary>
    public byte[] Frame { get; }

    // Literals that name no table (RFC 7541, section 6.2.2): they are understood whatever was sent before on the connection.
    private byte[] Encode()
    {
        List<byte> block = [0x88]; // :status 200, entry 8 of the static table
        block.AddRange([0x0f, 31 - 0x0f]); // content-type, entry 31
        AddText(block, ContentType);
        AddLiteral(block, "grpc-status", Status);
        AddLiteral(block, "grpc-message", Message!);
        AddLiteral(block, OverloadException.PushbackTrailer, Pushback!);
        var frame = new byte[Http2Frame.HeaderBytes + block.Count];
        Http2Frame.Write(frame, block.Count, FrameType.Headers, Http2Frame.EndStream | Http2Frame.EndHeaders, 0);
        block.CopyTo(frame, Http2Frame.HeaderBytes);
        return frame;
    }

    private static void AddLiteral(List<byte> block, string name, string value)
    {
        block.Add(0);
        AddText(block, name);
        AddText(block, value);
    }

    private static void AddText(List<byte> block, string text)
    {
        // One byte holds lengths up to 126.
        ArgumentOutOfRangeException.ThrowIfGreaterThan(text.Length, 126);
        block.Add((byte)text.Length);
        block.AddRange(Encoding.ASCII.GetBytes(text));
    }
}
