using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal.CallHandlers;

/// <summary>Serves client streaming calls.</summary>
internal sealed class ClientStreamingServerCallHandler<TRequest, TResponse>(
    Method<TRequest, TResponse> method, ClientStreamingServerMethod<TRequest, TResponse> invoke, MethodSettings settings, ILogger logger)
    : ServerCallHandler<TRequest, TResponse>(method, settings, logger)
    where TRequest : class
    where TResponse : class
{
    protected override async Task HandleCallCoreAsync(HttpContextServerCallContext call)
    {
        var requests = new HttpContextStreamReader<TRequest>(call, Method.RequestMarshaller.ContextualDeserializer);
        try
        {
            var response = await invoke(requests, call) ?? throw MissingResponse.Exception();
            call.Write(response, Method.ResponseMarshaller.ContextualSerializer, call.WriteOptions);
        }
        finally
        {
            requests.End();
        }
    }
}
