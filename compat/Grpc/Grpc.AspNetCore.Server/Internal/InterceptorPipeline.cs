using Grpc.Core;
using Grpc.Core.Interceptors;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>Puts the interceptors of a service before its methods, once, when the service is mapped.</summary>
internal sealed class InterceptorPipeline(IServiceProvider services, InterceptorCollection interceptors)
{
    // From the innermost to the outermost, in the order in which they are wrapped around the method.
    private readonly ActivatedCalls<Interceptor>[] _interceptors =
    [
        .. interceptors.Reverse().Select(registration => new ActivatedCalls<Interceptor>(
            new Activation<Interceptor>(services, registration.Type, [.. registration.Arguments]))),
    ];

    public UnaryServerMethod<TRequest, TResponse> Wrap<TRequest, TResponse>(UnaryServerMethod<TRequest, TResponse> call)
        where TRequest : class
        where TResponse : class
    {
        foreach (var calls in _interceptors)
        {
            var next = call;
            call = calls.Unary<TRequest, TResponse>(
                (interceptor, request, context) => interceptor.UnaryServerHandler(request, context, next));
        }

        return call;
    }

    public ClientStreamingServerMethod<TRequest, TResponse> Wrap<TRequest, TResponse>(
        ClientStreamingServerMethod<TRequest, TResponse> call)
        where TRequest : class
        where TResponse : class
    {
        foreach (var calls in _interceptors)
        {
            var next = call;
            call = calls.ClientStreaming<TRequest, TResponse>(
                (interceptor, requests, context) => interceptor.ClientStreamingServerHandler(requests, context, next));
        }

        return call;
    }

    public ServerStreamingServerMethod<TRequest, TResponse> Wrap<TRequest, TResponse>(
        ServerStreamingServerMethod<TRequest, TResponse> call)
        where TRequest : class
        where TResponse : class
    {
        foreach (var calls in _interceptors)
        {
            var next = call;
            call = calls.ServerStreaming<TRequest, TResponse>(
                (interceptor, request, responses, context) => interceptor.ServerStreamingServerHandler(request, responses, context, next));
        }

        return call;
    }

    public DuplexStreamingServerMethod<TRequest, TResponse> Wrap<TRequest, TResponse>(
        DuplexStreamingServerMethod<TRequest, TResponse> call)
        where TRequest : class
        where TResponse : class
    {
        foreach (var calls in _interceptors)
        {
            var next = call;
            call = calls.DuplexStreaming<TRequest, TResponse>(
                (interceptor, requests, responses, context) => interceptor.DuplexStreamingServerHandler(requests, responses, context, next));
        }

        return call;
    }
}
