using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Grpc.Net.Client.Internal;

/// <summary>Every message that the client logs.</summary>
internal static partial class GrpcClientLog
{
    [LoggerMessage(1, LogLevel.Debug, "Calling {Method} at {Address}.")]
    public static partial void CallStarted(ILogger logger, string method, Uri address);

    [LoggerMessage(2, LogLevel.Information, "{Method} ended with {StatusCode}: {Detail}")]
    public static partial void CallFailed(ILogger logger, Exception? exception, string method, StatusCode statusCode, string detail);

    [LoggerMessage(3, LogLevel.Warning, "{Method} was given call credentials, which are not sent over a connection without TLS.")]
    public static partial void CallCredentialsNotSent(ILogger logger, string method);
}
