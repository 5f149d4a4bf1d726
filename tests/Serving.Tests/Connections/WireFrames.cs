using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;
using KdServing.Serving.Connections;

namespace KdServing.Serving.Tests.Connections;

/// <summary>HTTP/2 as a client writes it, byte by byte.</summary>
internal static class WireFrames
{
    public const string RankPath = "/kdserving.v1.Ranking/Rank";

    public static readonly byte[] Preface = Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    public static readonly byte[] Settings = Frame(FrameType.Settings, 0, 0);

    public static readonly byte[] SettingsAck = Frame(FrameType.Settings, 1, 0);

    /// <summary>Request headers that name no table: <c>:path</c> as given, the rest as gRPC wants it.</summary>
    public static byte[] Plain(string path = RankPath) => Block([0x04, .. Text(path)]);

    /// <summary>The same with a path in the code of RFC 7541, appendix B.</summary>
    public static byte[] Compressed(ReadOnlySpan<byte> path) => Block([0x04, (byte)(0x80 | path.Length), .. path]);

    /// <summary>The same, and asks to keep the path in the connection's table.</summary>
    public static byte[] Indexed(string path = RankPath) => Block([0x44, .. Text(path)]);

    public static byte[] Frame(FrameType type, byte flags, int stream, params ReadOnlySpan<byte> payload)
    {
        var frame = new byte[Http2Frame.HeaderBytes + payload.Length];
        Http2Frame.Write(frame, payload.Length, type, flags, stream);
        payload.CopyTo(frame.AsSpan(Http2Frame.HeaderBytes));
        return frame;
    }

    public static byte[] Headers(int stream, ReadOnlySpan<byte> block, bool ends = false) =>
        Frame(FrameType.Headers, (byte)(Http2Frame.EndHeaders | (ends ? Http2Frame.EndStream : 0)), stream, block);

    public static byte[] Data(int stream, ReadOnlySpan<byte> payload, bool ends = true) => Frame(FrameType.Data, ends ? Http2Frame.EndStream : (byte)0, stream, payload);

    public static byte[] Number(FrameType type, int stream, int number)
    {
        var frame = new byte[Http2Frame.HeaderBytes + sizeof(int)];
        Http2Frame.WriteNumber(frame, type, stream, number);
        return frame;
    }

    /// <summary>A ranking call that is plain.</summary>
    public static byte[][] Call(int stream, Contracts.RankRequest request) => [Headers(stream, Plain()), Body(stream, request)];

    public static byte[] Body(int stream, Contracts.RankRequest request) => Data(stream, Message(request.ToByteArray()));

    /// <summary>A gRPC message as it travels.</summary>
    public static byte[] Message(ReadOnlySpan<byte> message)
    {
        var bytes = new byte[5 + message.Length];
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(1), message.Length);
        message.CopyTo(bytes.AsSpan(5));
        return bytes;
    }

    private static byte[] Block(ReadOnlySpan<byte> path) =>
        [0x83, 0x86, .. path, 0x01, .. Text("localhost"), 0x0f, 31 - 15, .. Text("application/grpc"), 0x00, .. Text("te"), .. Text("trailers")];

    private static byte[] Text(string text) => [(byte)text.Length, .. Encoding.ASCII.GetBytes(text)];
}
