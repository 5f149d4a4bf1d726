using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Every message that the server logs.</summary>
internal static partial class GrpcServerLog
{
    [LoggerMessage(1, LogLevel.Information, "Content-Type '{ContentType}' of {Path} is not gRPC.")]
    public static partial void UnsupportedContentType(ILogger logger, string? contentType, string path);

    [LoggerMessage(2, LogLevel.Information, "Protocol '{Protocol}' of {Path} is not HTTP/2.")]
    public static partial void UnsupportedProtocol(ILogger logger, string protocol, string path);

    [LoggerMessage(3, LogLevel.Information, "{Path}: {Detail}")]
    public static partial void CallUnimplemented(ILogger logger, string path, string detail);

    [LoggerMessage(4, LogLevel.Debug, "The grpc-timeout '{Timeout}' of {Method} is not valid and is ignored.")]
    public static partial void InvalidTimeout(ILogger logger, string timeout, string method);

    [LoggerMessage(5, LogLevel.Error, "The handler of {Method} threw an exception.")]
    public static partial void HandlerFailed(ILogger logger, Exception exception, string method);

    [LoggerMessage(6, LogLevel.Information, "{Method} ended with {StatusCode}: {Detail}")]
    public static partial void CallFailed(ILogger logger, Exception exception, string method, StatusCode statusCode, string detail);

    [LoggerMessage(7, LogLevel.Debug, "{Method} was cancelled by the client.")]
    public static partial void CallCancelled(ILogger logger, Exception exception, string method);

    [LoggerMessage(8, LogLevel.Debug, "The deadline of {Method} passed after {TimeoutMs} ms.")]
    public static partial void DeadlineExceeded(ILogger logger, string method, double timeoutMs);

    [LoggerMessage(9, LogLevel.Error, "The end of {Method} could not be sent after its deadline.")]
    public static partial void DeadlineNotSent(ILogger logger, Exception exception, string method);

    [LoggerMessage(10, LogLevel.Debug, "{Service} has no method of its own for {Method}; the inherited one serves it.")]
    public static partial void MethodNotOverridden(ILogger logger, Type service, string method);
}
