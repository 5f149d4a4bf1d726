using System.Globalization;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Common;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>
/// One call on one HTTP/2 stream. The handler and the deadline's timer may end it at the same time: whoever comes first
/// decides the status, and nothing is written after it.
/// </summary>
internal sealed partial class HttpContextServerCallContext : ServerCallContext
{
    private readonly ILogger _logger;
    private Metadata? _requestHeaders;
    private Metadata? _responseTrailers;
    private Dictionary<object, object>? _userState;
    private AuthContext? _authContext;
    private string? _peer;
    private Status _status;
    private bool _isRequestBroken;
    private bool _isResponseStarted;
    private bool _isEnded;

    public HttpContextServerCallContext(HttpContext httpContext, IMethod method, MethodSettings settings, ILogger logger)
    {
        HttpContext = httpContext;
        Settings = settings;
        CalledMethod = method;
        _logger = logger;
    }

    public HttpContext HttpContext { get; }

    public MethodSettings Settings { get; }

    public IMethod CalledMethod { get; }

    public string? RequestEncoding => HttpContext.Request.Headers.GrpcEncoding;

    protected override string MethodCore => CalledMethod.FullName;

    protected override string HostCore => HttpContext.Request.Host.Value ?? "";

    protected override string PeerCore => _peer ??= FormatPeer();

    protected override Metadata RequestHeadersCore => _requestHeaders ??= MetadataHeaders.Read(HttpContext.Request.Headers);

    protected override Metadata ResponseTrailersCore => _responseTrailers ??= [];

    protected override Status StatusCore
    {
        get => _status;
        set => _status = value;
    }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override AuthContext AuthContextCore => _authContext ??= PeerIdentity.Of(HttpContext);

    protected override IDictionary<object, object> UserStateCore => _userState ??= [];

    /// <summary>Checks the encoding, starts the deadline and sets the headers of the response.</summary>
    public void Start()
    {
        StartDeadline();
        var response = HttpContext.Response;
        response.ContentType = GrpcProtocol.ContentType;
        response.Headers.GrpcAcceptEncoding = Settings.Encodings.AcceptEncoding;
        var encoding = RequestEncoding;
        if (!string.IsNullOrEmpty(encoding) && encoding != GrpcProtocol.IdentityEncoding && Settings.Encodings.Find(encoding) is null)
            throw Settings.Encodings.Unsupported(encoding);
        if (IsResponseCompressed())
            response.Headers.GrpcEncoding = Settings.ResponseCompression!.EncodingName;
    }

    /// <summary>Writes a message into the response without flushing it.</summary>
    /// <exception cref="InvalidOperationException">The call has ended.</exception>
    public void Write<T>(T message, Action<T, SerializationContext> serializer, WriteOptions? options)
    {
        var isCompressed = HttpContext.Response.Headers.GrpcEncoding.Count > 0 && (options?.Flags & WriteFlags.NoCompress) is null or 0;
        lock (this)
        {
            if (_isEnded)
                throw new InvalidOperationException("The message can not be written: the call has ended.");
            try
            {
                FrameSerializationContext.Write(
                    message, serializer, HttpContext.Response.BodyWriter, isCompressed ? Settings.CompressedResponse : Settings.PlainResponse);
                _isResponseStarted = true;
            }
            catch (Exception exception) when (exception is not RpcException)
            {
                // A part of the message may have been written: the status has to follow it.
                _isResponseStarted = true;
                throw;
            }
        }
    }

    /// <summary>Notes that the client is gone, which the request's own token may tell only later.</summary>
    public void OnRequestBroken() => _isRequestBroken = true;

    /// <summary>Ends the call with its status, unless its deadline has ended it.</summary>
    public void End() => TryEnd(_status);

    /// <summary>Ends the call with the status that an exception stands for.</summary>
    public void End(Exception exception)
    {
        switch (exception)
        {
            case RpcException rpc:
                GrpcServerLog.CallFailed(_logger, rpc, CalledMethod.FullName, rpc.StatusCode, rpc.Status.Detail);
                AddTrailers(rpc.Trailers);
                _status = rpc.Status;
                break;
            case not null when _isRequestBroken || Volatile.Read(ref _isEnded) || HttpContext.RequestAborted.IsCancellationRequested:
                GrpcServerLog.CallCancelled(_logger, exception, CalledMethod.FullName);
                _status = Status.DefaultCancelled;
                break;
            default:
                GrpcServerLog.HandlerFailed(_logger, exception!, CalledMethod.FullName);
                _status = new Status(StatusCode.Unknown, DescribeFailure(exception!));
                break;
        }

        TryEnd(_status);
    }

    protected override async Task WriteResponseHeadersAsyncCore(Metadata responseHeaders)
    {
        ArgumentNullException.ThrowIfNull(responseHeaders);
        lock (this)
        {
            if (_isResponseStarted || _isEnded)
                throw new InvalidOperationException("The response headers can be sent once, and before the first message.");
            MetadataHeaders.Append(HttpContext.Response.Headers, responseHeaders);
            _isResponseStarted = true;
        }

        await HttpContext.Response.BodyWriter.FlushAsync();
    }

    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) =>
        throw new NotSupportedException("Propagation tokens are not supported: pass the context's Deadline and CancellationToken.");

    private bool TryEnd(Status status)
    {
        lock (this)
        {
            if (_isEnded)
                return false;

            _isEnded = true;
            var destination = _isResponseStarted
                ? HttpContext.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers
                : HttpContext.Response.Headers;
            if (_responseTrailers is not null && !MetadataHeaders.TryAppend(destination, _responseTrailers, out var reason))
                status = new Status(StatusCode.Internal, reason);
            StatusTrailers.Write(destination, status);
            return true;
        }
    }

    private void AddTrailers(Metadata trailers)
    {
        foreach (var entry in trailers)
            ResponseTrailersCore.Add(entry);
    }

    private bool IsResponseCompressed() =>
        Settings.ResponseCompression is { } compression
        && HttpContext.Request.Headers.GrpcAcceptEncoding.ToString().Split(',', StringSplitOptions.TrimEntries).Contains(compression.EncodingName);

    private string DescribeFailure(Exception exception)
    {
        const string description = "Exception was thrown by handler.";
        return Settings.EnableDetailedErrors ? $"{description} {exception.GetType().Name}: {exception.Message}" : description;
    }

    private string FormatPeer()
    {
        var connection = HttpContext.Connection;
        var address = connection.RemoteIpAddress;
        if (address is null)
            return "unknown";

        return address.AddressFamily == AddressFamily.InterNetworkV6
            ? string.Create(CultureInfo.InvariantCulture, $"ipv6:[{address}]:{connection.RemotePort}")
            : string.Create(CultureInfo.InvariantCulture, $"ipv4:{address}:{connection.RemotePort}");
    }
}
