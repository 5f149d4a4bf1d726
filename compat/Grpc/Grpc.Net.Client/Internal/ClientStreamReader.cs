using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>The responses of a streaming call. One read at a time.</summary>
internal sealed class ClientStreamReader<TRequest, TResponse>(GrpcCall<TRequest, TResponse> call) : IAsyncStreamReader<TResponse>
    where TRequest : class
    where TResponse : class
{
    private TResponse? _current;
    private bool _isReading;

    public TResponse Current => _current ?? throw new InvalidOperationException(
        "There is no current message: MoveNext was not called, or it returned false.");

    public Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
            call.Cancel();
        if (Interlocked.Exchange(ref _isReading, true))
            return Task.FromException<bool>(new InvalidOperationException("A message can not be read while the last one is being read."));

        return MoveNextCoreAsync(cancellationToken);
    }

    private async Task<bool> MoveNextCoreAsync(CancellationToken cancellationToken)
    {
        // A cancelled read may have taken half a message, so it cancels the call.
        await using var cancellation = cancellationToken.UnsafeRegister(
            static state => ((GrpcCall<TRequest, TResponse>)state!).Cancel(), call);
        try
        {
            _current = null;
            _current = await call.ReadNextAsync().ConfigureAwait(false);
            return _current is not null;
        }
        finally
        {
            Volatile.Write(ref _isReading, false);
        }
    }
}
