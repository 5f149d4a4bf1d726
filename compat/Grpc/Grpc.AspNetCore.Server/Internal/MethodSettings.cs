using Grpc.Net.Common;
using Grpc.Net.Compression;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>The options of a service in the form that its calls read. Immutable.</summary>
internal sealed class MethodSettings
{
    public MethodSettings(GrpcServiceOptions options)
    {
        MaxReceiveMessageSize = options.MaxReceiveMessageSize;
        EnableDetailedErrors = options.EnableDetailedErrors ?? false;
        Encodings = new MessageEncodings(options.CompressionProviders);
        PlainResponse = new FrameFormat(options.MaxSendMessageSize, null, null);
        if (options.ResponseCompressionAlgorithm is null or GrpcProtocol.IdentityEncoding)
            return;

        ResponseCompression = Encodings.Find(options.ResponseCompressionAlgorithm) ?? throw new InvalidOperationException(
            $"The response compression algorithm '{options.ResponseCompressionAlgorithm}' has no compression provider. "
            + $"Supported encodings: {Encodings.AcceptEncoding}");
        CompressedResponse = new FrameFormat(options.MaxSendMessageSize, ResponseCompression, options.ResponseCompressionLevel);
    }

    public int? MaxReceiveMessageSize { get; }

    public bool EnableDetailedErrors { get; }

    public MessageEncodings Encodings { get; }

    public ICompressionProvider? ResponseCompression { get; }

    public FrameFormat PlainResponse { get; }

    public FrameFormat CompressedResponse { get; }
}
