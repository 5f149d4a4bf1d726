using System.Net;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>The status of a response that is not gRPC's, for example a proxy's. Source of the codes: gRPC's http-grpc-status-mapping.md.</summary>
internal static class HttpStatusMapping
{
    /// <summary>Null for a response whose body is to be read.</summary>
    public static Status? Examine(HttpResponseMessage response)
    {
        if (response.Version < HttpVersion.Version20)
            return new Status(StatusCode.Internal, $"Bad gRPC response. Response protocol downgraded to HTTP/{response.Version}.");
        if (response.StatusCode != HttpStatusCode.OK)
            return new Status(CodeOf(response.StatusCode), $"Bad gRPC response. HTTP status code: {(int)response.StatusCode}");

        var contentType = response.Content.Headers.ContentType?.MediaType;
        if (contentType is null)
            return new Status(StatusCode.Unknown, "Bad gRPC response. Response did not have a content-type header.");
        return GrpcProtocol.IsGrpcContentType(contentType)
            ? null
            : new Status(StatusCode.Unknown, $"Bad gRPC response. Invalid content-type value: {contentType}");
    }

    private static StatusCode CodeOf(HttpStatusCode httpStatus) => httpStatus switch
    {
        HttpStatusCode.BadRequest => StatusCode.Internal,
        HttpStatusCode.Unauthorized => StatusCode.Unauthenticated,
        HttpStatusCode.Forbidden => StatusCode.PermissionDenied,
        HttpStatusCode.NotFound => StatusCode.Unimplemented,
        HttpStatusCode.TooManyRequests => StatusCode.Unavailable,
        HttpStatusCode.BadGateway => StatusCode.Unavailable,
        HttpStatusCode.ServiceUnavailable => StatusCode.Unavailable,
        HttpStatusCode.GatewayTimeout => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };
}
