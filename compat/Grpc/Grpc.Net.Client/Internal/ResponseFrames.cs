using System.Buffers;
using System.Runtime.CompilerServices;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>
/// Reads messages out of the body of a response through one pooled buffer, in which every message lies in one piece. One
/// read at a time; dispose it after the last one.
/// </summary>
internal sealed class ResponseFrames(Stream body, MessageEncodings encodings, string? encoding, int? maxLength) : IDisposable
{
    // HTTP/2's smallest frame limit: a read seldom returns more.
    private const int InitialCapacity = 16 * 1024;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialCapacity);
    private int _start;
    private int _end;

    private int Buffered => _end - _start;

    /// <summary>Reads the next message; null at the end of the response.</summary>
    /// <exception cref="RpcException">INTERNAL for half a message, RESOURCE_EXHAUSTED above the limit.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<T?> ReadAsync<T>(Func<DeserializationContext, T> deserializer, CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            var wanted = FrameHeader.Size;
            if (Buffered >= FrameHeader.Size)
            {
                var header = FrameHeader.Read(_buffer.AsSpan(_start, Buffered), maxLength);
                if (Buffered - FrameHeader.Size >= header.Length)
                    return Take(header, deserializer);
                wanted += header.Length;
            }

            MakeRoom(wanted);
            var read = await body.ReadAsync(_buffer.AsMemory(_end), cancellationToken).ConfigureAwait(false);
            if (read == 0)
                return Buffered == 0 ? null : throw new RpcException(new Status(StatusCode.Internal, "Incomplete message."));
            _end += read;
        }
    }

    public void Dispose()
    {
        var buffer = Interlocked.Exchange(ref _buffer, []);
        if (buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(buffer);
        _start = _end = 0;
    }

    private T Take<T>(FrameHeader header, Func<DeserializationContext, T> deserializer)
    {
        var payload = new ReadOnlySequence<byte>(_buffer, _start + FrameHeader.Size, header.Length);
        _start += FrameHeader.Size + header.Length;
        if (!header.IsCompressed)
            return FrameDeserializationContext.Read(payload, deserializer);

        using var inflated = new PooledBufferWriter();
        MessageEncodings.Decompress(encodings.Require(encoding), payload, maxLength, inflated);
        return FrameDeserializationContext.Read(new ReadOnlySequence<byte>(inflated.WrittenMemory), deserializer);
    }

    /// <summary>
    /// Makes room behind what is buffered. The announced length is believed up to the usual limit; beyond it the buffer
    /// grows with what has arrived.
    /// </summary>
    private void MakeRoom(int wanted)
    {
        if (_start == _end)
            _start = _end = 0;
        if (_buffer.Length - _start >= wanted && _end < _buffer.Length)
            return;

        var capacity = Math.Min(wanted, Math.Max(2 * (long)Buffered, GrpcProtocol.DefaultMaxReceiveMessageSize));
        var target = _buffer.Length >= capacity && Buffered < _buffer.Length
            ? _buffer
            : ArrayPool<byte>.Shared.Rent((int)Math.Max(capacity, Buffered + 1));
        _buffer.AsSpan(_start, Buffered).CopyTo(target);
        if (target != _buffer)
            ArrayPool<byte>.Shared.Return(_buffer);
        (_buffer, _start, _end) = (target, 0, Buffered);
    }
}
