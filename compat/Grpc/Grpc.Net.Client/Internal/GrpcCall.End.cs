using Grpc.Core;

namespace Grpc.Net.Client.Internal;

internal sealed partial class GrpcCall<TRequest, TResponse>
{
    // The longest time that a timer takes; a deadline beyond it is as good as none.
    private static readonly TimeSpan MaxTimeout = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private CancellationTokenRegistration _callerRegistration;
    private CancellationTokenRegistration _disposalRegistration;
    private Timer? _deadlineTimer;

    /// <summary>Ends the call at the caller's wish.</summary>
    public void Cancel() => FinishHere(new Status(StatusCode.Cancelled, "Call canceled by the client."));

    public void Dispose()
    {
        FinishHere(new Status(StatusCode.Cancelled, "gRPC call disposed."));
        _response?.Dispose();
    }

    /// <summary>The exception for a write that failed: the call's own end if it is known, since it says why.</summary>
    public async Task<Exception> ExplainFailedWriteAsync(Exception failure)
    {
        // A single response always ends, and a server that stops reading early has usually answered.
        if (_singleResponse is not null)
            await Task.WhenAny(_singleResponse).ConfigureAwait(false);

        return IsFinished ? CreateException() : new RpcException(ExceptionMapping.StatusOf(failure, "Error writing a message."));
    }

    private void Begin()
    {
        ObjectDisposedException.ThrowIf(_channel.Disposal.IsCancellationRequested, _channel);
        if (_options.Deadline is { } deadline && deadline != DateTime.MaxValue)
            BeginDeadline(deadline);

        _callerRegistration = _options.CancellationToken.UnsafeRegister(
            static state => ((GrpcCall<TRequest, TResponse>)state!).Cancel(), this);
        _disposalRegistration = _channel.Disposal.UnsafeRegister(
            static state => ((GrpcCall<TRequest, TResponse>)state!).Dispose(), this);
    }

    private void BeginDeadline(DateTime deadline)
    {
        if (deadline.Kind != DateTimeKind.Utc && deadline != DateTime.MinValue)
            throw new InvalidOperationException("The deadline must be in UTC, for example DateTime.UtcNow.AddSeconds(1).");

        var timeout = deadline - DateTime.UtcNow;
        if (timeout <= TimeSpan.Zero)
        {
            ExceedDeadline();
            return;
        }

        _deadlineTimer = new Timer(
            static state => ((GrpcCall<TRequest, TResponse>)state!).ExceedDeadline(), this, Timeout.Infinite, Timeout.Infinite);
        _deadlineTimer.Change(timeout < MaxTimeout ? timeout : MaxTimeout, Timeout.InfiniteTimeSpan);
    }

    private void ExceedDeadline() => FinishHere(new Status(StatusCode.DeadlineExceeded, ""));

    private void FinishHere(Status status)
    {
        if (!TryFinish(status, null, isHere: true))
            return;

        _cancellation.Cancel();
        _response?.Dispose();
    }

    private bool TryFinish(Status status, Metadata? trailers, bool isHere = false)
    {
        lock (_gate)
        {
            if (_isFinished)
                return false;

            _status = status;
            _trailers = trailers;
            _isFinishedHere = isHere;
            _isFinished = true;
            if (_headers is null)
                _headersWaiter?.TrySetException(CreateException());
        }

        if (status.StatusCode != StatusCode.OK)
            GrpcClientLog.CallFailed(_channel.Logger, status.DebugException, _method.FullName, status.StatusCode, status.Detail);
        _deadlineTimer?.Dispose();
        _callerRegistration.Unregister();
        _disposalRegistration.Unregister();
        _requestStream?.Abort();
        return true;
    }
}
