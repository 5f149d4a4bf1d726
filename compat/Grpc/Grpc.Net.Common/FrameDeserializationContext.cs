using System.Buffers;
using Grpc.Core;

namespace Grpc.Net.Common;

/// <summary>
/// Offers one received message in place. One instance a thread is reused, since deserializers are synchronous.
/// </summary>
internal sealed class FrameDeserializationContext : DeserializationContext
{
    [ThreadStatic]
    private static FrameDeserializationContext? t_free;

    private ReadOnlySequence<byte> _payload;

    public override int PayloadLength => (int)_payload.Length;

    public static T Read<T>(in ReadOnlySequence<byte> payload, Func<DeserializationContext, T> deserializer)
    {
        var context = t_free ?? new FrameDeserializationContext();
        t_free = null;
        context._payload = payload;
        try
        {
            return deserializer(context);
        }
        finally
        {
            context._payload = default;
            t_free = context;
        }
    }

    public override byte[] PayloadAsNewBuffer() => _payload.ToArray();

    public override ReadOnlySequence<byte> PayloadAsReadOnlySequence() => _payload;
}
