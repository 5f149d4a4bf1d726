using System.Buffers;
using System.IO.Compression;
using Grpc.Core;
using Grpc.Net.Compression;

namespace Grpc.Net.Common;

/// <summary>How messages are written: the size limit and, if they are to be compressed, with what.</summary>
internal readonly record struct FrameFormat(int? MaxLength, ICompressionProvider? Compression, CompressionLevel? CompressionLevel);

/// <summary>
/// Writes one message with its header. A serializer that announces the length writes straight into the output; otherwise
/// the message is collected in a pooled buffer first. One instance a thread is reused, since serializers are synchronous.
/// </summary>
internal sealed class FrameSerializationContext : SerializationContext, IBufferWriter<byte>
{
    [ThreadStatic]
    private static FrameSerializationContext? t_free;

    private IBufferWriter<byte>? _output;
    private FrameFormat _format;
    private PooledBufferWriter? _collected;
    private int _announced;
    private int _written;
    private bool _isComplete;

    /// <summary>Serializes <paramref name="message"/> as one frame into <paramref name="output"/>.</summary>
    /// <exception cref="RpcException">RESOURCE_EXHAUSTED when the message is above the limit; nothing is written then.</exception>
    public static void Write<T>(
        T message, Action<T, SerializationContext> serializer, IBufferWriter<byte> output, FrameFormat format)
    {
        var context = t_free ?? new FrameSerializationContext();
        t_free = null;
        context.Start(output, format);
        try
        {
            serializer(message, context);
            if (!context._isComplete)
                throw new InvalidOperationException("The serializer did not complete the message.");
        }
        finally
        {
            context.Stop();
            t_free = context;
        }
    }

    public override void SetPayloadLength(int payloadLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(payloadLength);
        ThrowIfTooLarge(payloadLength);
        _announced = payloadLength;
    }

    public override IBufferWriter<byte> GetBufferWriter()
    {
        if (_announced >= 0 && _format.Compression is null && _written < 0)
        {
            _written = 0;
            WriteHeader(isCompressed: false, _announced);
        }
        else if (_written < 0)
        {
            _collected ??= new PooledBufferWriter();
        }

        return this;
    }

    public override void Complete()
    {
        ThrowIfComplete();
        if (_written >= 0)
        {
            if (_written != _announced)
                throw new InvalidOperationException($"The serializer announced {_announced} bytes and wrote {_written}.");
        }
        else
        {
            WriteFrame(_collected is null ? default : _collected.WrittenMemory.Span);
        }
    }

    public override void Complete(byte[] payload)
    {
        ArgumentNullException.ThrowIfNull(payload);
        ThrowIfComplete();
        if (_written >= 0)
            throw new InvalidOperationException("The serializer has fetched the buffer writer; complete without a payload.");
        WriteFrame(payload);
    }

    void IBufferWriter<byte>.Advance(int count)
    {
        if (_collected is not null)
        {
            _collected.Advance(count);
            return;
        }

        _written += count;
        if (_written > _announced)
            throw new InvalidOperationException($"The serializer announced {_announced} bytes and wrote more.");
        _output!.Advance(count);
    }

    Memory<byte> IBufferWriter<byte>.GetMemory(int sizeHint) => (_collected ?? _output!).GetMemory(sizeHint);

    Span<byte> IBufferWriter<byte>.GetSpan(int sizeHint) => (_collected ?? _output!).GetSpan(sizeHint);

    private void Start(IBufferWriter<byte> output, FrameFormat format)
    {
        _output = output;
        _format = format;
        _announced = -1;
        _written = -1;
        _isComplete = false;
    }

    private void Stop()
    {
        _output = null;
        _format = default;
        _collected?.Dispose();
        _collected = null;
    }

    private void WriteFrame(ReadOnlySpan<byte> payload)
    {
        ThrowIfTooLarge(payload.Length);

        // .NET compresses nothing to nothing, which is not a valid gzip stream.
        if (_format.Compression is null || payload.IsEmpty)
        {
            WriteHeader(isCompressed: false, payload.Length);
            _output!.Write(payload);
            return;
        }

        using var compressed = new MemoryStream();
        using (var compression = _format.Compression.CreateCompressionStream(compressed, _format.CompressionLevel))
            compression.Write(payload);

        WriteHeader(isCompressed: true, (int)compressed.Length);
        _output!.Write(compressed.GetBuffer().AsSpan(0, (int)compressed.Length));
    }

    private void WriteHeader(bool isCompressed, int length)
    {
        (_output as PooledBufferWriter)?.EnsureFree(FrameHeader.Size + length);
        FrameHeader.Write(_output!.GetSpan(FrameHeader.Size), isCompressed, length);
        _output.Advance(FrameHeader.Size);
    }

    private void ThrowIfTooLarge(int length)
    {
        if (length > _format.MaxLength)
            throw new RpcException(new Status(StatusCode.ResourceExhausted, GrpcProtocol.MessageTooLargeToSend));
    }

    private void ThrowIfComplete()
    {
        if (_isComplete)
            throw new InvalidOperationException("The serializer has completed the message before.");
        _isComplete = true;
    }
}
