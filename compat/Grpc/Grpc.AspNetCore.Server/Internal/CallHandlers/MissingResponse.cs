using Grpc.Core;

namespace Grpc.AspNetCore.Server.Internal.CallHandlers;

/// <summary>The status of a call whose handler returned null.</summary>
internal static class MissingResponse
{
    public static RpcException Exception() => new(new Status(StatusCode.Cancelled, "No message returned from method."));
}
