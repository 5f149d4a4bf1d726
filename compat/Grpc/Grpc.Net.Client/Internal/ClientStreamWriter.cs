using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>The requests of a streaming call. One write at a time.</summary>
internal sealed class ClientStreamWriter<TRequest, TResponse>(GrpcCall<TRequest, TResponse> call, StreamRequestContent content)
    : IClientStreamWriter<TRequest>
    where TRequest : class
    where TResponse : class
{
    private readonly PooledBufferWriter _buffer = new();
    private bool _isCompleted;
    private bool _isWriting;

    public WriteOptions? WriteOptions { get; set; } = call.WriteOptions;

    public Task WriteAsync(TRequest message) => WriteAsync(message, CancellationToken.None);

    public Task WriteAsync(TRequest message, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (cancellationToken.IsCancellationRequested)
            return Task.FromCanceled(cancellationToken);
        if (_isCompleted)
            return Task.FromException(new InvalidOperationException("A message can not be written: the request stream was completed."));
        if (call.IsFinished)
            return Task.FromException(call.CreateException());
        if (Interlocked.Exchange(ref _isWriting, true))
            return Task.FromException(new InvalidOperationException("A message can not be written while the last one is being written."));

        return WriteCoreAsync(message, cancellationToken);
    }

    public Task CompleteAsync()
    {
        if (Volatile.Read(ref _isWriting))
            return Task.FromException(new InvalidOperationException("The stream can not be completed while a message is being written."));

        _isCompleted = true;
        content.End();
        return Task.CompletedTask;
    }

    private async Task WriteCoreAsync(TRequest message, CancellationToken cancellationToken)
    {
        // A cancelled write leaves half a message behind, so it cancels the call.
        await using var cancellation = cancellationToken.UnsafeRegister(
            static state => ((GrpcCall<TRequest, TResponse>)state!).Cancel(), call);
        try
        {
            var stream = await content.Stream.ConfigureAwait(false);
            call.SerializeRequest(message, _buffer, WriteOptions);
            await stream.WriteAsync(_buffer.WrittenMemory, call.Cancellation).ConfigureAwait(false);
            if ((WriteOptions?.Flags & WriteFlags.BufferHint) is null or 0)
                await stream.FlushAsync(call.Cancellation).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is OperationCanceledException or IOException or HttpRequestException)
        {
            // The response says better than a failed write why the server stopped reading; it is the call's status.
            throw await call.ExplainFailedWriteAsync(exception).ConfigureAwait(false);
        }
        finally
        {
            _buffer.Dispose();
            Volatile.Write(ref _isWriting, false);
        }
    }
}
