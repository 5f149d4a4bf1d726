using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal.CallHandlers;

/// <summary>Serves unary calls.</summary>
internal sealed class UnaryServerCallHandler<TRequest, TResponse>(
    Method<TRequest, TResponse> method, UnaryServerMethod<TRequest, TResponse> invoke, MethodSettings settings, ILogger logger)
    : ServerCallHandler<TRequest, TResponse>(method, settings, logger)
    where TRequest : class
    where TResponse : class
{
    protected override async Task HandleCallCoreAsync(HttpContextServerCallContext call)
    {
        var request = await RequestFrames.ReadSingleAsync(
            call.HttpContext.Request.BodyReader, call, Method.RequestMarshaller.ContextualDeserializer);
        var response = await invoke(request, call) ?? throw MissingResponse.Exception();

        // Not flushed here: headers, message and trailers leave together when the request ends.
        call.Write(response, Method.ResponseMarshaller.ContextualSerializer, call.WriteOptions);
    }
}
