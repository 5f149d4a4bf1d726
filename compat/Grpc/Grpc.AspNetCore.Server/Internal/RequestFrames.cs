using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>
/// Reads messages out of the body of a request, where they lie: the parser sees Kestrel's own memory, no message is copied
/// unless it is compressed.
/// </summary>
internal static class RequestFrames
{
    /// <summary>Reads the only message of a request and waits for the end of the request.</summary>
    /// <exception cref="RpcException">INTERNAL when there is no message, half of one or more than one.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public static async ValueTask<T> ReadSingleAsync<T>(
        PipeReader body, HttpContextServerCallContext call, Func<DeserializationContext, T> deserializer)
        where T : class
    {
        var message = await ReadAsync(body, call, deserializer, default);
        if (message is null)
            throw new RpcException(new Status(StatusCode.Internal, "Incomplete message."));

        var rest = await ReceiveAsync(body, call, default);
        var isEnd = rest.Buffer.IsEmpty && rest.IsCompleted;
        Advance(body, call, rest.Buffer.End, rest.Buffer.End);
        return isEnd ? message : throw new RpcException(new Status(StatusCode.Internal, "Additional data after the message received."));
    }

    /// <summary>Reads the next message; null at the end of the request.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public static async ValueTask<T?> ReadAsync<T>(
        PipeReader body,
        HttpContextServerCallContext call,
        Func<DeserializationContext, T> deserializer,
        CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            var result = await ReceiveAsync(body, call, cancellationToken);
            var buffer = result.Buffer;
            if (TryReadFrame(buffer, call, deserializer, out var message, out var consumed))
            {
                Advance(body, call, consumed, consumed);
                return message;
            }

            Advance(body, call, buffer.Start, buffer.End);
            if (result.IsCanceled)
                throw new OperationCanceledException("The read was cancelled.");
            if (result.IsCompleted)
                return buffer.IsEmpty ? null : throw new RpcException(new Status(StatusCode.Internal, "Incomplete message."));
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<ReadResult> ReceiveAsync(
        PipeReader body, HttpContextServerCallContext call, CancellationToken cancellationToken)
    {
        try
        {
            return await body.ReadAsync(cancellationToken);
        }
        catch (IOException)
        {
            call.OnRequestBroken();
            throw;
        }
    }

    private static void Advance(
        PipeReader body, HttpContextServerCallContext call, SequencePosition consumed, SequencePosition examined)
    {
        try
        {
            body.AdvanceTo(consumed, examined);
        }
        catch (IOException)
        {
            call.OnRequestBroken();
            throw;
        }
    }

    private static bool TryReadFrame<T>(
        in ReadOnlySequence<byte> buffer,
        HttpContextServerCallContext call,
        Func<DeserializationContext, T> deserializer,
        out T? message,
        out SequencePosition consumed)
        where T : class
    {
        message = null;
        consumed = buffer.Start;
        if (buffer.Length < FrameHeader.Size)
            return false;

        var header = ReadHeader(buffer, call.Settings.MaxReceiveMessageSize);
        if (buffer.Length < FrameHeader.Size + (long)header.Length)
            return false;

        var payload = buffer.Slice(FrameHeader.Size, header.Length);
        consumed = payload.End;
        message = header.IsCompressed ? ReadCompressed(payload, call, deserializer) : FrameDeserializationContext.Read(payload, deserializer);
        return true;
    }

    private static FrameHeader ReadHeader(in ReadOnlySequence<byte> buffer, int? maxLength)
    {
        if (buffer.FirstSpan.Length >= FrameHeader.Size)
            return FrameHeader.Read(buffer.FirstSpan, maxLength);

        Span<byte> header = stackalloc byte[FrameHeader.Size];
        buffer.Slice(0, FrameHeader.Size).CopyTo(header);
        return FrameHeader.Read(header, maxLength);
    }

    private static T ReadCompressed<T>(
        in ReadOnlySequence<byte> payload, HttpContextServerCallContext call, Func<DeserializationContext, T> deserializer)
    {
        var provider = call.Settings.Encodings.Require(call.RequestEncoding);
        using var inflated = new PooledBufferWriter();
        MessageEncodings.Decompress(provider, payload, call.Settings.MaxReceiveMessageSize, inflated);
        return FrameDeserializationContext.Read(new ReadOnlySequence<byte>(inflated.WrittenMemory), deserializer);
    }
}
