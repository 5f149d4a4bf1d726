using System.Buffers;
using Grpc.Core;

namespace KdServing.Compat.Tests.Peers;

/// <summary>
/// Answers <c>UnaryCall</c> of the interoperability service without a byte of its own: whatever is allocated while it serves
/// belongs to the server. Registered as a singleton, as the ranking service is.
/// </summary>
[BindServiceMethod(typeof(FixedMessageService), nameof(BindService))]
public sealed class FixedMessageService(FixedMessage response)
{
    private static readonly Method<FixedMessage, FixedMessage> UnaryCallMethod = new(
        MethodType.Unary,
        "grpc.testing.TestService",
        nameof(UnaryCall),
        Marshallers.Create<FixedMessage>(Write, Read),
        Marshallers.Create<FixedMessage>(Write, Read));

    private readonly Task<FixedMessage> _response = Task.FromResult(response);

    public static void BindService(ServiceBinderBase serviceBinder, FixedMessageService? service) =>
        serviceBinder.AddMethod(UnaryCallMethod, service is null ? null : new UnaryServerMethod<FixedMessage, FixedMessage>(service.UnaryCall));

    public Task<FixedMessage> UnaryCall(FixedMessage request, ServerCallContext context) => _response;

    private static void Write(FixedMessage message, SerializationContext context)
    {
        context.SetPayloadLength(message.Bytes.Length);
        context.GetBufferWriter().Write(message.Bytes);
        context.Complete();
    }

    private static FixedMessage Read(DeserializationContext context) =>
        context.PayloadAsReadOnlySequence().Length == context.PayloadLength
            ? FixedMessage.Received
            : throw new InvalidOperationException("The payload does not have the length that was announced.");
}

/// <summary>A message that is its own bytes.</summary>
public sealed record FixedMessage(byte[] Bytes)
{
    /// <summary>Stands for every message that was received.</summary>
    public static readonly FixedMessage Received = new([]);
}
