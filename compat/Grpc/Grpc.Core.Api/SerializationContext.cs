using System.Buffers;

namespace Grpc.Core;

/// <summary>
/// Where a serializer writes one message: either <see cref="Complete(byte[])"/>, or optionally <see cref="SetPayloadLength"/>,
/// then <see cref="GetBufferWriter"/> and <see cref="Complete()"/>. Valid for the duration of one serializer call.
/// </summary>
public abstract class SerializationContext
{
    public virtual void Complete(byte[] payload) => throw new NotImplementedException();

    public virtual IBufferWriter<byte> GetBufferWriter() => throw new NotImplementedException();

    /// <summary>Announces the size in bytes before the writer is fetched; the message then needs no intermediate buffer.</summary>
    public virtual void SetPayloadLength(int payloadLength) => throw new NotImplementedException();

    public virtual void Complete() => throw new NotImplementedException();
}
