namespace Grpc.Net.Common;

/// <summary>The names that gRPC gives to things on HTTP/2.</summary>
internal static class GrpcProtocol
{
    public const string ContentType = "application/grpc";
    public const string Timeout = "grpc-timeout";
    public const string Status = "grpc-status";
    public const string Message = "grpc-message";
    public const string MessageEncoding = "grpc-encoding";
    public const string MessageAcceptEncoding = "grpc-accept-encoding";
    public const string IdentityEncoding = "identity";

    /// <summary>Request metadata with which a caller asks its own client to compress the requests; it never travels.</summary>
    public const string RequestCompression = "grpc-internal-encoding-request";

    public const string MessageTooLargeToReceive = "Received message exceeds the maximum configured message size.";
    public const string MessageTooLargeToSend = "Sending message exceeds the maximum configured message size.";

    /// <summary>What both sides accept at most unless configured otherwise, in bytes.</summary>
    public const int DefaultMaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>Whether a content type is <c>application/grpc</c>, with or without a message format or parameters.</summary>
    public static bool IsGrpcContentType(string? contentType) =>
        contentType is not null
        && contentType.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == ContentType.Length || contentType[ContentType.Length] is '+' or ';' or ' ');
}
