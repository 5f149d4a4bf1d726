namespace Grpc.Net.Client.Internal;

/// <summary>What sends the requests of a channel: its own HTTP/2 handler, or the one that it was given.</summary>
internal sealed class ChannelTransport : IDisposable
{
    private readonly HttpMessageInvoker _invoker;
    private readonly ChannelConnections? _connections;
    private readonly bool _isOwned;

    public ChannelTransport(Uri address, GrpcChannelOptions options)
    {
        if (options.HttpClient is not null || options.HttpHandler is not null)
        {
            _invoker = options.HttpClient ?? new HttpMessageInvoker(options.HttpHandler!, options.DisposeHttpClient);
            _isOwned = options.DisposeHttpClient;
            return;
        }

        _connections = new ChannelConnections(address, options.InitialReconnectBackoff, options.MaxReconnectBackoff);
        _invoker = new HttpMessageInvoker(
            new SocketsHttpHandler
            {
                EnableMultipleHttp2Connections = true,
                AllowAutoRedirect = false,
                UseCookies = false,
                ConnectCallback = _connections.OpenAsync,
            },
            disposeHandler: true);
        _isOwned = true;
    }

    public ChannelConnections Connections => _connections ?? throw new InvalidOperationException(
        "The connections of this channel are not known: it was given an HttpHandler or HttpClient of its own.");

    // HttpClient would read the whole response before it returned.
    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        _invoker is HttpClient client
            ? client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken)
            : _invoker.SendAsync(request, cancellationToken);

    public void Dispose()
    {
        if (_isOwned)
            _invoker.Dispose();
        _connections?.Dispose();
    }
}
