using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Http.Features;

namespace Grpc.AspNetCore.Server.Internal;

internal sealed partial class HttpContextServerCallContext
{
    // The longest time that a timer takes, about 49 days: by then the connection has been cut many times.
    private static readonly TimeSpan MaxTimeout = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private DateTime _deadline = DateTime.MaxValue;
    private TimeSpan _timeout;
    private Timer? _deadlineTimer;
    private Task? _deadlineTask;
    private CancellationTokenSource? _cancellation;
    private CancellationTokenRegistration _abortRegistration;

    protected override DateTime DeadlineCore => _deadline;

    // The request's own token is made by Kestrel on first use. A deadline must cancel only after its status was sent.
    protected override CancellationToken CancellationTokenCore =>
        _deadlineTimer is null ? HttpContext.RequestAborted : DeadlineToken();

    /// <summary>Stops the timer. What it has begun is waited for, since the request must not be reused meanwhile.</summary>
    public ValueTask StopDeadlineAsync()
    {
        if (_deadlineTimer is null)
            return default;

        _deadlineTimer.Dispose();
        Task? exceeded;
        lock (this)
        {
            _isEnded = true;
            exceeded = _deadlineTask;
        }

        _abortRegistration.Dispose();
        return exceeded is null ? default : new ValueTask(exceeded);
    }

    private void StartDeadline()
    {
        string? header = HttpContext.Request.Headers.GrpcTimeout;
        if (string.IsNullOrEmpty(header))
            return;

        if (!TimeoutHeader.TryParse(header, out _timeout))
        {
            GrpcServerLog.InvalidTimeout(_logger, header, CalledMethod.FullName);
            return;
        }

        var now = DateTime.UtcNow;
        _deadline = DateTime.MaxValue - now > _timeout ? now + _timeout : DateTime.MaxValue;
        _deadlineTimer = new Timer(
            static state => ((HttpContextServerCallContext)state!).BeginExceedDeadline(), this, Timeout.Infinite, Timeout.Infinite);
        _deadlineTimer.Change(_timeout < MaxTimeout ? _timeout : MaxTimeout, Timeout.InfiniteTimeSpan);
    }

    private void BeginExceedDeadline()
    {
        lock (this)
        {
            if (TryEnd(new Status(StatusCode.DeadlineExceeded, "Deadline Exceeded")))
                _deadlineTask = ExceedDeadlineAsync();
        }
    }

    private async Task ExceedDeadlineAsync()
    {
        // Leaves the lock first; nothing of the transport runs under it.
        await Task.Yield();
        GrpcServerLog.DeadlineExceeded(_logger, CalledMethod.FullName, _timeout.TotalMilliseconds);
        try
        {
            await HttpContext.Response.CompleteAsync();
            const int noError = 0;
            HttpContext.Features.Get<IHttpResetFeature>()?.Reset(noError);
        }
        catch (Exception exception)
        {
            GrpcServerLog.DeadlineNotSent(_logger, exception, CalledMethod.FullName);
        }

        CancellationTokenSource cancellation;
        lock (this)
            cancellation = _cancellation ??= new CancellationTokenSource();
        await cancellation.CancelAsync();
    }

    private CancellationToken DeadlineToken()
    {
        lock (this)
        {
            if (_cancellation is null)
            {
                _cancellation = new CancellationTokenSource();
                _abortRegistration = HttpContext.RequestAborted.UnsafeRegister(
                    static state => ((CancellationTokenSource)state!).Cancel(), _cancellation);
            }

            return _cancellation.Token;
        }
    }
}
