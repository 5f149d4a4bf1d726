using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Turns away what is not gRPC over HTTP/2.</summary>
internal static class RequestCheck
{
    /// <summary>False after the refusal was written into the response.</summary>
    public static bool Accepts(HttpContext httpContext, ILogger logger)
    {
        var request = httpContext.Request;
        if (!HttpProtocol.IsHttp2(request.Protocol) && !HttpProtocol.IsHttp3(request.Protocol))
        {
            GrpcServerLog.UnsupportedProtocol(logger, request.Protocol, request.Path);
            Refuse(httpContext, StatusCodes.Status426UpgradeRequired, $"Request protocol '{request.Protocol}' is not supported.");
            httpContext.Response.Headers.Upgrade = HttpProtocol.Http2;
            return false;
        }

        if (!GrpcProtocol.IsGrpcContentType(request.ContentType))
        {
            GrpcServerLog.UnsupportedContentType(logger, request.ContentType, request.Path);
            Refuse(
                httpContext,
                StatusCodes.Status415UnsupportedMediaType,
                request.ContentType is null ? "Content-Type is missing from the request." : $"Content-Type '{request.ContentType}' is not supported.");
            return false;
        }

        return true;
    }

    private static void Refuse(HttpContext httpContext, int httpStatus, string detail)
    {
        httpContext.Response.StatusCode = httpStatus;
        StatusTrailers.Write(httpContext.Response.Headers, new Status(StatusCode.Internal, detail));
    }
}
