using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal.CallHandlers;

/// <summary>Serves server streaming calls.</summary>
internal sealed class ServerStreamingServerCallHandler<TRequest, TResponse>(
    Method<TRequest, TResponse> method, ServerStreamingServerMethod<TRequest, TResponse> invoke, MethodSettings settings, ILogger logger)
    : ServerCallHandler<TRequest, TResponse>(method, settings, logger)
    where TRequest : class
    where TResponse : class
{
    protected override async Task HandleCallCoreAsync(HttpContextServerCallContext call)
    {
        var request = await RequestFrames.ReadSingleAsync(
            call.HttpContext.Request.BodyReader, call, Method.RequestMarshaller.ContextualDeserializer);
        await invoke(
            request, new HttpContextStreamWriter<TResponse>(call, Method.ResponseMarshaller.ContextualSerializer), call);
    }
}
