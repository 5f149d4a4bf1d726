using System.Net;
using System.Net.Sockets;
using Grpc.Core;

namespace Grpc.Net.Client.Internal;

/// <summary>
/// Opens the connections of a channel and knows their state. A connection that <see cref="ConnectAsync"/> opened waits here
/// until a call needs it. Thread-safe.
/// </summary>
internal sealed class ChannelConnections(Uri address, TimeSpan initialBackoff, TimeSpan? maxBackoff) : IDisposable
{
    private const double BackoffMultiplier = 1.6; // gRPC's connection-backoff.md

    private readonly DnsEndPoint _endPoint = new(address.IdnHost, address.Port);
    private readonly Lock _gate = new();
    private readonly Queue<TrackedStream> _spare = [];
    private TaskCompletionSource _stateChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ConnectivityState _state;
    private int _open;
    private int _opening;
    private bool _hasFailed;
    private bool _isDisposed;

    public ConnectivityState State
    {
        get
        {
            lock (_gate)
                return _state;
        }
    }

    public async Task WaitForStateChangedAsync(ConnectivityState last, CancellationToken cancellationToken)
    {
        Task changed;
        lock (_gate)
        {
            if (_state != last)
                return;
            changed = _stateChanged.Task;
        }

        await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Opens a connection unless one is open; a failed attempt is repeated after a growing pause.</summary>
    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        for (var backoff = initialBackoff; State != ConnectivityState.Ready; backoff = Grow(backoff))
        {
            ObjectDisposedException.ThrowIf(State == ConnectivityState.Shutdown, typeof(GrpcChannel));
            try
            {
                var stream = await ConnectSocketAsync(_endPoint, cancellationToken).ConfigureAwait(false);
                lock (_gate)
                    _spare.Enqueue(stream);
            }
            catch (SocketException)
            {
                await Task.Delay(backoff, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>The handler's way to a connection.</summary>
    public async ValueTask<Stream> OpenAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken) =>
        TakeSpare(context.DnsEndPoint) ?? await ConnectSocketAsync(context.DnsEndPoint, cancellationToken).ConfigureAwait(false);

    public void Dispose()
    {
        lock (_gate)
            _isDisposed = true;
        while (TakeSpare(_endPoint) is { } spare)
            spare.Dispose();
        Update(ref _hasFailed, false);
    }

    private TimeSpan Grow(TimeSpan backoff)
    {
        var grown = backoff * BackoffMultiplier;
        return grown > maxBackoff ? maxBackoff.Value : grown;
    }

    private TrackedStream? TakeSpare(DnsEndPoint endPoint)
    {
        while (endPoint.Equals(_endPoint))
        {
            TrackedStream? spare;
            lock (_gate)
                if (!_spare.TryDequeue(out spare))
                    break;

            if (spare.IsAlive)
                return spare;
            spare.Dispose();
        }

        return null;
    }

    private async Task<TrackedStream> ConnectSocketAsync(DnsEndPoint endPoint, CancellationToken cancellationToken)
    {
        Update(ref _opening, 1);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken).ConfigureAwait(false);
            Update(ref _hasFailed, false);
            Update(ref _open, 1);
            return new TrackedStream(socket, () => Update(ref _open, -1));
        }
        catch
        {
            socket.Dispose();
            Update(ref _hasFailed, true);
            throw;
        }
        finally
        {
            Update(ref _opening, -1);
        }
    }

    private void Update(ref int count, int change)
    {
        lock (_gate)
        {
            count += change;
            PublishState();
        }
    }

    private void Update(ref bool flag, bool value)
    {
        lock (_gate)
        {
            flag = value;
            PublishState();
        }
    }

    private void PublishState()
    {
        var state = _isDisposed ? ConnectivityState.Shutdown
            : _open > 0 ? ConnectivityState.Ready
            : _opening > 0 ? ConnectivityState.Connecting
            : _hasFailed ? ConnectivityState.TransientFailure
            : ConnectivityState.Idle;
        if (state == _state)
            return;

        _state = state;
        _stateChanged.SetResult();
        _stateChanged = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
