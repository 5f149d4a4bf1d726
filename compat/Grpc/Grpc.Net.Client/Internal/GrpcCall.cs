using Grpc.Core;
using Grpc.Net.Common;

namespace Grpc.Net.Client.Internal;

/// <summary>
/// One call of any shape. Its end may be seen first by the response, the deadline, the caller's cancellation or the channel's
/// disposal, on any thread: the first one decides the status.
/// </summary>
internal sealed partial class GrpcCall<TRequest, TResponse> : IDisposable
    where TRequest : class
    where TResponse : class
{
    private readonly GrpcChannel _channel;
    private readonly Method<TRequest, TResponse> _method;
    private readonly string? _host;
    private readonly CallOptions _options;
    private readonly FrameFormat _requestFormat;
    private readonly CancellationTokenSource _cancellation = new();
    private readonly Lock _gate = new();
    private Task<bool>? _sending;
    private Task<TResponse>? _singleResponse;
    private StreamRequestContent? _requestStream;
    private HttpResponseMessage? _response;
    private ResponseFrames? _frames;
    private TaskCompletionSource<Metadata>? _headersWaiter;
    private Metadata? _headers;
    private Metadata? _trailers;
    private Status _status;
    private bool _isFinished;
    private bool _isFinishedHere;

    public GrpcCall(GrpcChannel channel, Method<TRequest, TResponse> method, string? host, CallOptions options)
    {
        _channel = channel;
        _method = method;
        _host = host;
        _options = options;
        _requestFormat = new FrameFormat(channel.MaxSendMessageSize, RequestCompression(), null);
        Cancellation = _cancellation.Token;
        Begin();
    }

    /// <summary>Cancelled when the call ends before its response does.</summary>
    public CancellationToken Cancellation { get; }

    public WriteOptions? WriteOptions => _options.WriteOptions;

    public bool IsFinished => Volatile.Read(ref _isFinished);

    public Task<Metadata> ResponseHeadersAsync
    {
        get
        {
            lock (_gate)
            {
                if (_headersWaiter is null)
                {
                    _headersWaiter = new TaskCompletionSource<Metadata>(TaskCreationOptions.RunContinuationsAsynchronously);
                    if (_headers is not null)
                        _headersWaiter.SetResult(_headers);
                    else if (_isFinished)
                        _headersWaiter.SetException(CreateException());
                }

                return _headersWaiter.Task;
            }
        }
    }

    public Task<TResponse> StartUnary(TRequest request)
    {
        _sending = SendAsync(new UnaryRequestContent<TRequest>(
            request, _method.RequestMarshaller.ContextualSerializer, FormatOf(_options.WriteOptions)));
        return ReceiveSingleAsync();
    }

    public void StartServerStreaming(TRequest request) => _sending = SendAsync(new UnaryRequestContent<TRequest>(
        request, _method.RequestMarshaller.ContextualSerializer, FormatOf(_options.WriteOptions)));

    public Task<TResponse> StartClientStreaming(out IClientStreamWriter<TRequest> requests)
    {
        StartDuplexStreaming(out requests);
        return _singleResponse = ReceiveSingleAsync();
    }

    public void StartDuplexStreaming(out IClientStreamWriter<TRequest> requests)
    {
        _requestStream = new StreamRequestContent();
        requests = new ClientStreamWriter<TRequest, TResponse>(this, _requestStream);
        _sending = SendAsync(_requestStream);
    }

    public void SerializeRequest(TRequest request, PooledBufferWriter output, WriteOptions? options) =>
        FrameSerializationContext.Write(request, _method.RequestMarshaller.ContextualSerializer, output, FormatOf(options));

    public Status GetStatus() => IsFinished
        ? _status
        : throw new InvalidOperationException("The status is not known: the call has not ended.");

    public Metadata GetTrailers() => IsFinished
        ? _trailers ?? Metadata.Empty
        : throw new InvalidOperationException("The trailers are not known: the call has not ended.");

    public Exception CreateException()
    {
        var exception = new RpcException(_status, _trailers ?? Metadata.Empty);
        return _channel.ThrowOperationCanceledOnCancellation
            && _isFinishedHere
            && _status.StatusCode is StatusCode.Cancelled or StatusCode.DeadlineExceeded
                ? new OperationCanceledException(_status.Detail, exception, _options.CancellationToken)
                : exception;
    }

    private FrameFormat FormatOf(WriteOptions? options) =>
        (options?.Flags & WriteFlags.NoCompress) is null or 0 ? _requestFormat : _requestFormat with { Compression = null };
}
