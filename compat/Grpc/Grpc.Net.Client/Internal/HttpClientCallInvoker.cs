using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>Starts calls over the HTTP/2 client of a channel.</summary>
internal sealed class HttpClientCallInvoker(GrpcChannel channel) : CallInvoker
{
    public override TResponse BlockingUnaryCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
    {
        using var call = new GrpcCall<TRequest, TResponse>(channel, method, host, options);
        return call.StartUnary(request).GetAwaiter().GetResult();
    }

    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
    {
        var call = new GrpcCall<TRequest, TResponse>(channel, method, host, options);
        return new AsyncUnaryCall<TResponse>(
            call.StartUnary(request),
            CallAccess<TRequest, TResponse>.ResponseHeadersAsync,
            CallAccess<TRequest, TResponse>.GetStatus,
            CallAccess<TRequest, TResponse>.GetTrailers,
            CallAccess<TRequest, TResponse>.Dispose,
            call);
    }

    public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request)
    {
        var call = new GrpcCall<TRequest, TResponse>(channel, method, host, options);
        call.StartServerStreaming(request);
        return new AsyncServerStreamingCall<TResponse>(
            new ClientStreamReader<TRequest, TResponse>(call),
            CallAccess<TRequest, TResponse>.ResponseHeadersAsync,
            CallAccess<TRequest, TResponse>.GetStatus,
            CallAccess<TRequest, TResponse>.GetTrailers,
            CallAccess<TRequest, TResponse>.Dispose,
            call);
    }

    public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options)
    {
        var call = new GrpcCall<TRequest, TResponse>(channel, method, host, options);
        var response = call.StartClientStreaming(out var requests);
        return new AsyncClientStreamingCall<TRequest, TResponse>(
            requests,
            response,
            CallAccess<TRequest, TResponse>.ResponseHeadersAsync,
            CallAccess<TRequest, TResponse>.GetStatus,
            CallAccess<TRequest, TResponse>.GetTrailers,
            CallAccess<TRequest, TResponse>.Dispose,
            call);
    }

    public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        Method<TRequest, TResponse> method, string? host, CallOptions options)
    {
        var call = new GrpcCall<TRequest, TResponse>(channel, method, host, options);
        call.StartDuplexStreaming(out var requests);
        return new AsyncDuplexStreamingCall<TRequest, TResponse>(
            requests,
            new ClientStreamReader<TRequest, TResponse>(call),
            CallAccess<TRequest, TResponse>.ResponseHeadersAsync,
            CallAccess<TRequest, TResponse>.GetStatus,
            CallAccess<TRequest, TResponse>.GetTrailers,
            CallAccess<TRequest, TResponse>.Dispose,
            call);
    }
}

/// <summary>The delegates that a call object is made with; they take the call as their state.</summary>
internal static class CallAccess<TRequest, TResponse>
    where TRequest : class
    where TResponse : class
{
    public static readonly Func<object, Task<Metadata>> ResponseHeadersAsync =
        static call => ((GrpcCall<TRequest, TResponse>)call).ResponseHeadersAsync;

    public static readonly Func<object, Status> GetStatus = static call => ((GrpcCall<TRequest, TResponse>)call).GetStatus();

    public static readonly Func<object, Metadata> GetTrailers = static call => ((GrpcCall<TRequest, TResponse>)call).GetTrailers();

    public static readonly Action<object> Dispose = static call => ((GrpcCall<TRequest, TResponse>)call).Dispose();
}
