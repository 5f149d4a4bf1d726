using System.Diagnostics;
using Grpc.Core;
using Grpc.Core.Interceptors;

namespace KdServing.LoadTests.Chaos;

/// <summary>What a recommender service does when its ranker is gone for a moment: one more try, a little later, elsewhere if it can.</summary>
/// <param name="second">Where the second try goes; null: to the same server.</param>
/// <param name="failed">Told of every call that failed for good: when it began, and with what status.</param>
internal sealed class RetryOnce(CallInvoker? second, Action<long, StatusCode> failed) : Interceptor
{
    // A server elsewhere needs no time to come back.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);

    private long retries;

    /// <summary>Calls tried a second time.</summary>
    public long Retries => Interlocked.Read(ref retries);

    public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(TRequest request,
        ClientInterceptorContext<TRequest, TResponse> context, AsyncUnaryCallContinuation<TRequest, TResponse> continuation)
    {
        var call = continuation(request, context);
        var began = Stopwatch.GetTimestamp();
        return new(RepliedAsync(), call.ResponseHeadersAsync, () => call.GetStatus(), () => call.GetTrailers(), () => call.Dispose());

        async Task<TResponse> RepliedAsync()
        {
            try
            {
                return await call.ResponseAsync.ConfigureAwait(false);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable || IsClosedConnection(e))
            {
                // The rule of gRPC: nothing of the call has been processed, or the connection died under it.
            }
            catch (RpcException e)
            {
                failed(began, e.StatusCode);
                throw;
            }
            Interlocked.Increment(ref retries);
            if (second is null)
                await Task.Delay(Pause).ConfigureAwait(false);
            call = second?.AsyncUnaryCall(context.Method, context.Host, context.Options, request) ?? continuation(request, context);
            try
            {
                return await call.ResponseAsync.ConfigureAwait(false);
            }
            catch (RpcException e)
            {
                failed(began, e.StatusCode);
                throw;
            }
        }
    }

    // A call that reaches a server just as it closes its connections in order ends with NO_ERROR, for which gRPC's status is INTERNAL.
    private static bool IsClosedConnection(RpcException e)
    {
        for (var cause = e.Status.DebugException; cause is not null; cause = cause.InnerException)
        {
            if (cause is HttpProtocolException { ErrorCode: 0 })
                return e.StatusCode == StatusCode.Internal;
        }
        return false;
    }
}
