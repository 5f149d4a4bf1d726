using Grpc.Core;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>The requests of a streaming call. One read at a time.</summary>
internal sealed class HttpContextStreamReader<TRequest>(
    HttpContextServerCallContext call, Func<DeserializationContext, TRequest> deserializer) : IAsyncStreamReader<TRequest>
    where TRequest : class
{
    private static readonly Task<bool> True = Task.FromResult(true);
    private static readonly Task<bool> False = Task.FromResult(false);

    private TRequest? _current;
    private bool _isEnded;

    public TRequest Current => _current ?? throw new InvalidOperationException(
        "There is no current message: MoveNext was not called, or it returned false.");

    /// <summary>Called by the server when the handler has ended: a read that outlives it must not touch the request.</summary>
    public void End() => Volatile.Write(ref _isEnded, true);

    public Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled<bool>(cancellationToken);
        if (Volatile.Read(ref _isEnded))
            return Task.FromException<bool>(new InvalidOperationException("The next message can not be read: the call has ended."));

        var read = RequestFrames.ReadAsync(call.HttpContext.Request.BodyReader, call, deserializer, cancellationToken);
        if (!read.IsCompletedSuccessfully)
            return MoveNextAsync(read);

        _current = read.Result;
        return _current is null ? False : True;
    }

    private async Task<bool> MoveNextAsync(ValueTask<TRequest?> read)
    {
        _current = await read;
        return _current is not null;
    }
}
