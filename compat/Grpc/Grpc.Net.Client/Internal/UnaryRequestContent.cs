using System.Net;
using System.Net.Http.Headers;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>The body of a request with one message, which is serialized into a pooled buffer and written at once.</summary>
internal sealed class UnaryRequestContent<TRequest> : HttpContent
{
    private readonly TRequest _message;
    private readonly Action<TRequest, SerializationContext> _serializer;
    private readonly FrameFormat _format;

    public UnaryRequestContent(TRequest message, Action<TRequest, SerializationContext> serializer, FrameFormat format)
    {
        _message = message;
        _serializer = serializer;
        _format = format;
        Headers.ContentType = RequestContentType.Value;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        using var buffer = new PooledBufferWriter();
        FrameSerializationContext.Write(_message, _serializer, buffer, _format);
        await stream.WriteAsync(buffer.WrittenMemory, cancellationToken).ConfigureAwait(false);
    }

    // Unknown on purpose: gRPC requests carry no content-length.
    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}

/// <summary>The content type of every request.</summary>
internal static class RequestContentType
{
    public static readonly MediaTypeHeaderValue Value = new(GrpcProtocol.ContentType);
}
