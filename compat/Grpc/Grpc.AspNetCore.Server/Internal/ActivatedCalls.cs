using Grpc.Core;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>
/// Makes the delegates of calls to an object that is found anew for every call: a service or an interceptor. For a singleton
/// nothing is allocated and nothing is awaited here.
/// </summary>
internal sealed class ActivatedCalls<T>(Activation<T> activation)
    where T : class
{
    public UnaryServerMethod<TRequest, TResponse> Unary<TRequest, TResponse>(
        Func<T, TRequest, ServerCallContext, Task<TResponse>> call)
        where TRequest : class
        where TResponse : class
    {
        if (activation.IsSingleton)
            return (request, context) => call(activation.Singleton, request, context);

        return async (request, context) =>
        {
            var instance = activation.Create(context.GetHttpContext().RequestServices, out var isOwned);
            try
            {
                return await call(instance, request, context);
            }
            finally
            {
                await Activation<T>.ReleaseAsync(instance, isOwned);
            }
        };
    }

    public ClientStreamingServerMethod<TRequest, TResponse> ClientStreaming<TRequest, TResponse>(
        Func<T, IAsyncStreamReader<TRequest>, ServerCallContext, Task<TResponse>> call)
        where TRequest : class
        where TResponse : class
    {
        if (activation.IsSingleton)
            return (requests, context) => call(activation.Singleton, requests, context);

        return async (requests, context) =>
        {
            var instance = activation.Create(context.GetHttpContext().RequestServices, out var isOwned);
            try
            {
                return await call(instance, requests, context);
            }
            finally
            {
                await Activation<T>.ReleaseAsync(instance, isOwned);
            }
        };
    }

    public ServerStreamingServerMethod<TRequest, TResponse> ServerStreaming<TRequest, TResponse>(
        Func<T, TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task> call)
        where TRequest : class
        where TResponse : class
    {
        if (activation.IsSingleton)
            return (request, responses, context) => call(activation.Singleton, request, responses, context);

        return async (request, responses, context) =>
        {
            var instance = activation.Create(context.GetHttpContext().RequestServices, out var isOwned);
            try
            {
                await call(instance, request, responses, context);
            }
            finally
            {
                await Activation<T>.ReleaseAsync(instance, isOwned);
            }
        };
    }

    public DuplexStreamingServerMethod<TRequest, TResponse> DuplexStreaming<TRequest, TResponse>(
        Func<T, IAsyncStreamReader<TRequest>, IServerStreamWriter<TResponse>, ServerCallContext, Task> call)
        where TRequest : class
        where TResponse : class
    {
        if (activation.IsSingleton)
            return (requests, responses, context) => call(activation.Singleton, requests, responses, context);

        return async (requests, responses, context) =>
        {
            var instance = activation.Create(context.GetHttpContext().RequestServices, out var isOwned);
            try
            {
                await call(instance, requests, responses, context);
            }
            finally
            {
                await Activation<T>.ReleaseAsync(instance, isOwned);
            }
        };
    }
}
