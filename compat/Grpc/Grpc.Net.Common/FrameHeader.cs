using System.Buffers.Binary;
using Grpc.Core;

namespace Grpc.Net.Common;

/// <summary>The five bytes before every message: whether it is compressed, and its length.</summary>
internal readonly struct FrameHeader
{
    public const int Size = 5;

    private FrameHeader(bool isCompressed, int length)
    {
        IsCompressed = isCompressed;
        Length = length;
    }

    public bool IsCompressed { get; }

    /// <summary>The length of the message as it travels, in bytes.</summary>
    public int Length { get; }

    /// <summary>Reads the header and checks it against the limit, before anything is read or allocated for the message.</summary>
    /// <exception cref="RpcException">INTERNAL for an impossible header, RESOURCE_EXHAUSTED above the limit.</exception>
    public static FrameHeader Read(ReadOnlySpan<byte> source, int? maxLength)
    {
        if (source[0] > 1)
            throw new RpcException(new Status(StatusCode.Internal, "Unexpected compressed flag value in message header."));

        var length = BinaryPrimitives.ReadUInt32BigEndian(source[1..]);
        if (length > (uint)Math.Min(maxLength ?? Array.MaxLength, Array.MaxLength))
            throw new RpcException(new Status(StatusCode.ResourceExhausted, GrpcProtocol.MessageTooLargeToReceive));

        return new FrameHeader(source[0] == 1, (int)length);
    }

    public static void Write(Span<byte> destination, bool isCompressed, int length)
    {
        destination[0] = isCompressed ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt32BigEndian(destination[1..], (uint)length);
    }
}
