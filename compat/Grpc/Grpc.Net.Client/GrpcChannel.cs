using System.Collections.Concurrent;
using Grpc.Core;
using Grpc.Net.Client.Internal;
using Grpc.Net.Common;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpc.Net.Client;

/// <summary>
/// Calls a server over HTTP/2. Make one a server and share it: it is safe for concurrent use and opens further connections
/// when one has no free streams. Disposing it cancels its calls.
/// </summary>
public sealed class GrpcChannel : ChannelBase, IDisposable
{
    private readonly ConcurrentDictionary<string, Uri> _addressOfMethod = new();
    private readonly CancellationTokenSource _disposal = new();
    private readonly ChannelTransport _transport;
    private int _isDisposed;

    private GrpcChannel(Uri address, GrpcChannelOptions options)
        : base(address.Authority)
    {
        ChannelOptionsCheck.ThrowIfUnsupported(options);
        Address = address;
        var credentials = new ChannelCredentialsReader(address, options.Credentials);
        CallCredentials = credentials.CallCredentials;
        SendsCallCredentials = credentials.IsSecure || options.UnsafeUseInsecureChannelCallCredentials;
        MaxReceiveMessageSize = options.MaxReceiveMessageSize;
        MaxSendMessageSize = options.MaxSendMessageSize;
        ThrowOperationCanceledOnCancellation = options.ThrowOperationCanceledOnCancellation;
        Encodings = new MessageEncodings(options.CompressionProviders ?? MessageEncodings.CreateDefault());
        Logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(typeof(GrpcChannel).FullName!);
        _transport = new ChannelTransport(address, options);
        Disposal = _disposal.Token;
    }

    /// <summary>The state of the connection.</summary>
    /// <exception cref="InvalidOperationException">The channel was given a handler or client of its own.</exception>
    public ConnectivityState State => _transport.Connections.State;

    internal Uri Address { get; }

    internal IReadOnlyList<CallCredentials> CallCredentials { get; }

    internal bool SendsCallCredentials { get; }

    internal int? MaxReceiveMessageSize { get; }

    internal int? MaxSendMessageSize { get; }

    internal bool ThrowOperationCanceledOnCancellation { get; }

    internal MessageEncodings Encodings { get; }

    internal Microsoft.Extensions.Logging.ILogger Logger { get; }

    /// <summary>Cancelled when the channel is disposed.</summary>
    internal CancellationToken Disposal { get; }

    /// <param name="address">The server, for example <c>http://localhost:8500</c>; <c>http</c> means HTTP/2 without TLS.</param>
    public static GrpcChannel ForAddress(string address) => ForAddress(address, new GrpcChannelOptions());

    public static GrpcChannel ForAddress(string address, GrpcChannelOptions channelOptions)
    {
        ArgumentNullException.ThrowIfNull(address);
        return ForAddress(new Uri(address), channelOptions);
    }

    public static GrpcChannel ForAddress(Uri address) => ForAddress(address, new GrpcChannelOptions());

    public static GrpcChannel ForAddress(Uri address, GrpcChannelOptions channelOptions)
    {
        ArgumentNullException.ThrowIfNull(address);
        ArgumentNullException.ThrowIfNull(channelOptions);
        return new GrpcChannel(address, channelOptions);
    }

    public override CallInvoker CreateCallInvoker()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
        return new HttpClientCallInvoker(this);
    }

    /// <summary>Opens a connection, however many attempts it takes, unless one is open.</summary>
    /// <exception cref="InvalidOperationException">The channel was given a handler or client of its own.</exception>
    public Task ConnectAsync(CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
        return _transport.Connections.ConnectAsync(cancellationToken);
    }

    /// <summary>Waits until the state is another than <paramref name="lastObservedState"/>.</summary>
    public Task WaitForStateChangedAsync(ConnectivityState lastObservedState, CancellationToken cancellationToken = default) =>
        _transport.Connections.WaitForStateChangedAsync(lastObservedState, cancellationToken);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
            return;

        _disposal.Cancel();
        _transport.Dispose();
        _disposal.Dispose();
    }

    internal Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
        _transport.SendAsync(request, cancellationToken);

    internal Uri AddressOf(string methodFullName) =>
        _addressOfMethod.GetOrAdd(methodFullName, static (name, address) => new Uri(address, name), Address);

    protected override Task ShutdownAsyncCore()
    {
        Dispose();
        return Task.CompletedTask;
    }
}
