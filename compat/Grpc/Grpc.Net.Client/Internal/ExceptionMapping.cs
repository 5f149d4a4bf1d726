using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>The status that an exception of the transport or of a marshaller stands for.</summary>
internal static class ExceptionMapping
{
    public static Status StatusOf(Exception exception, string action)
    {
        if (exception is RpcException rpc)
            return rpc.Status;

        var code = FindProtocolError(exception) is { } error ? CodeOfHttp2Error(error) : CodeOf(exception);
        return new Status(code, $"{action} {Describe(exception)}", exception);
    }

    private static StatusCode CodeOf(Exception exception) => exception switch
    {
        OperationCanceledException => StatusCode.Cancelled,
        HttpRequestException { HttpRequestError: HttpRequestError.VersionNegotiationError } => StatusCode.Internal,
        HttpRequestException or IOException => StatusCode.Unavailable,
        _ => StatusCode.Internal,
    };

    // Source of the codes: gRPC's PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping", Errors.
    private static StatusCode CodeOfHttp2Error(long error) => error switch
    {
        0x7 => StatusCode.Unavailable, // REFUSED_STREAM
        0x8 => StatusCode.Cancelled, // CANCEL
        0xb => StatusCode.ResourceExhausted, // ENHANCE_YOUR_CALM
        0xc => StatusCode.PermissionDenied, // INADEQUATE_SECURITY
        _ => StatusCode.Internal,
    };

    private static long? FindProtocolError(Exception? exception)
    {
        for (; exception is not null; exception = exception.InnerException)
            if (exception is HttpProtocolException protocol)
                return protocol.ErrorCode;

        return null;
    }

    private static string Describe(Exception exception)
    {
        var description = $"{exception.GetType().Name}: {exception.Message}";
        return exception.InnerException is { } inner ? $"{description} {Describe(inner)}" : description;
    }
}
