using System.Buffers.Binary;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Connections;

namespace KdServing.LoadTests.Load;

/// <summary>A ranking request as the very bytes that go over the wire, frames and all; only the stream's number and the deadline are filled in.</summary>
/// <param name="Bytes">Whole frames one after another.</param>
/// <param name="FrameStarts">Where each frame begins, and after the last one where it ends.</param>
/// <param name="TimeoutAt">Where the digits of <c>grpc-timeout</c> begin; -1: there are none.</param>
/// <param name="Candidates">Scores a right reply holds.</param>
/// <param name="RequestId">What a right reply repeats, UTF-8.</param>
internal sealed record EncodedRequest(byte[] Bytes, int[] FrameStarts, int TimeoutAt, int Candidates, byte[] RequestId)
{
    private const int MessagePrefixBytes = 5; // gRPC: compressed flag and length

    /// <summary>A call of its own: headers, message, end of stream.</summary>
    public static EncodedRequest Unary(RankRequest request, HeaderBlock headers) => Encode(request, headers, endStream: true);

    /// <summary>One message of a stream that is open already.</summary>
    public static EncodedRequest Message(RankRequest request) => Encode(request, null, endStream: false);

    /// <summary>The headers that open a stream.</summary>
    public static EncodedRequest Opening(HeaderBlock headers)
    {
        var bytes = new byte[Http2Frame.HeaderBytes + headers.Bytes.Length];
        Http2Frame.Write(bytes, headers.Bytes.Length, FrameType.Headers, Http2Frame.EndHeaders, 0);
        headers.Bytes.CopyTo(bytes, Http2Frame.HeaderBytes);
        return new(bytes, [0, bytes.Length], -1, 0, []);
    }

    /// <summary>A copy a connection may fill in.</summary>
    public EncodedRequest Copy() => this with { Bytes = (byte[])Bytes.Clone() };

    private static EncodedRequest Encode(RankRequest request, HeaderBlock? headers, bool endStream)
    {
        var message = new byte[MessagePrefixBytes + request.CalculateSize()];
        BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), message.Length - MessagePrefixBytes);
        request.WriteTo(message.AsSpan(MessagePrefixBytes));

        var frames = (message.Length + Http2Frame.MaxPayload - 1) / Http2Frame.MaxPayload;
        var head = headers is null ? 0 : Http2Frame.HeaderBytes + headers.Bytes.Length;
        var bytes = new byte[head + frames * Http2Frame.HeaderBytes + message.Length];
        var starts = new List<int>();
        if (headers is not null)
        {
            starts.Add(0);
            Http2Frame.Write(bytes, headers.Bytes.Length, FrameType.Headers, Http2Frame.EndHeaders, 0);
            headers.Bytes.CopyTo(bytes, Http2Frame.HeaderBytes);
        }
        var at = head;
        for (var sent = 0; sent < message.Length;)
        {
            var length = Math.Min(Http2Frame.MaxPayload, message.Length - sent);
            var isLast = sent + length == message.Length;
            starts.Add(at);
            Http2Frame.Write(bytes.AsSpan(at), length, FrameType.Data, isLast && endStream ? Http2Frame.EndStream : (byte)0, 0);
            message.AsSpan(sent, length).CopyTo(bytes.AsSpan(at + Http2Frame.HeaderBytes));
            at += Http2Frame.HeaderBytes + length;
            sent += length;
        }
        starts.Add(at);
        var timeoutAt = headers is { TimeoutAt: >= 0 } ? Http2Frame.HeaderBytes + headers.TimeoutAt : -1;
        return new(bytes, [.. starts], timeoutAt, request.TopK > 0 ? Math.Min(request.TopK, request.CandidateCount) : request.CandidateCount,
            System.Text.Encoding.UTF8.GetBytes(request.RequestId));
    }
}
