using System.Net.Http.Headers;
using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>Writes metadata into the headers of a request.</summary>
internal static class RequestHeaders
{
    public static void Append(HttpRequestHeaders headers, Metadata metadata)
    {
        foreach (var entry in metadata)
            if (entry.Key != GrpcProtocol.RequestCompression
                && !headers.TryAddWithoutValidation(entry.Key, entry.IsBinary ? BinaryHeader.Encode(entry.BinaryValue) : entry.Value))
                throw new RpcException(new Status(StatusCode.Internal, $"The request header '{entry.Key}' can not be sent."));
    }
}
