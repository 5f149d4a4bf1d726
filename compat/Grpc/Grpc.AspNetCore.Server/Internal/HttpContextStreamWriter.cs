using Grpc.Core;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>The responses of a streaming call. One write at a time; a write ends when Kestrel has room for the next.</summary>
internal sealed class HttpContextStreamWriter<TResponse>(
    HttpContextServerCallContext call, Action<TResponse, SerializationContext> serializer) : IServerStreamWriter<TResponse>
    where TResponse : class
{
    private bool _isWriting;

    public WriteOptions? WriteOptions
    {
        get => call.WriteOptions;
        set => call.WriteOptions = value;
    }

    public Task WriteAsync(TResponse message) => WriteAsync(message, CancellationToken.None);

    public Task WriteAsync(TResponse message, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (Interlocked.Exchange(ref _isWriting, true))
            return Task.FromException(new InvalidOperationException("A message can not be written while the last one is being written."));

        return WriteCoreAsync(message, cancellationToken);
    }

    private async Task WriteCoreAsync(TResponse message, CancellationToken cancellationToken)
    {
        try
        {
            call.Write(message, serializer, WriteOptions);
            if ((WriteOptions?.Flags & WriteFlags.BufferHint) is null or 0)
                await call.HttpContext.Response.BodyWriter.FlushAsync(cancellationToken);

            call.HttpContext.RequestAborted.ThrowIfCancellationRequested();
        }
        finally
        {
            Volatile.Write(ref _isWriting, false);
        }
    }
}
