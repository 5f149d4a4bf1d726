using Grpc.Core;
using Grpc.Net.Client.Configuration;
using Grpc.Net.Common;
using Grpc.Net.Compression;
using Microsoft.Extensions.Logging;

namespace Grpc.Net.Client;

/// <summary>The options of a channel. They are read once, when the channel is made.</summary>
public sealed class GrpcChannelOptions
{
    /// <summary>How the channel is secured; from the scheme of the address by default.</summary>
    public ChannelCredentials? Credentials { get; set; }

    /// <summary>The largest request in bytes; null for no limit, the default.</summary>
    public int? MaxSendMessageSize { get; set; }

    /// <summary>The largest response in bytes, before and after decompression; 4 MiB by default, null for no limit.</summary>
    public int? MaxReceiveMessageSize { get; set; } = GrpcProtocol.DefaultMaxReceiveMessageSize;

    /// <summary>The handler that sends the requests, for example one that connects to a Unix domain socket.</summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>The client that sends the requests, instead of a handler.</summary>
    public HttpClient? HttpClient { get; set; }

    /// <summary>Whether the channel disposes its client or handler. One that the channel made itself is always disposed.</summary>
    public bool DisposeHttpClient { get; set; }

    /// <summary>What messages can be compressed with; gzip and deflate by default.</summary>
    public IList<ICompressionProvider>? CompressionProviders { get; set; }

    public ILoggerFactory? LoggerFactory { get; set; }

    /// <summary>Whether a cancelled call throws <see cref="OperationCanceledException"/> instead of <see cref="RpcException"/>.</summary>
    public bool ThrowOperationCanceledOnCancellation { get; set; }

    /// <summary>Whether call credentials are sent over connections that anyone can read. Not by default.</summary>
    public bool UnsafeUseInsecureChannelCallCredentials { get; set; }

    /// <summary>How calls are made by method. Retries, hedging and throttling are not supported: the channel throws.</summary>
    public ServiceConfig? ServiceConfig { get; set; }

    /// <summary>The first pause between attempts to connect; 1 second by default.</summary>
    public TimeSpan InitialReconnectBackoff { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest pause between attempts to connect; 2 minutes by default, null for no bound.</summary>
    public TimeSpan? MaxReconnectBackoff { get; set; } = TimeSpan.FromMinutes(2);
}
