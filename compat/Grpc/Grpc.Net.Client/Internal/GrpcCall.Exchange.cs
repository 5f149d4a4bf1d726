using System.Net;
using System.Runtime.CompilerServices;
using Grpc.Core;
using Grpc.Net.Common;
using Grpc.Net.Compression;

namespace Grpc.Net.Client.Internal;

internal sealed partial class GrpcCall<TRequest, TResponse>
{
    private const string UserAgent = $"grpc-dotnet-kdserving/{VersionInfo.CurrentVersion}";

    /// <summary>Reads the next response; null at the end of a call that succeeded.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<TResponse?> ReadNextAsync()
    {
        if (await _sending!.ConfigureAwait(false) && !IsFinished)
        {
            try
            {
                var message = await _frames!.ReadAsync(_method.ResponseMarshaller.ContextualDeserializer, Cancellation).ConfigureAwait(false);
                if (message is not null)
                    return message;

                var trailers = _response!.TrailingHeaders;
                TryFinish(
                    ResponseMetadata.ReadStatus(trailers) ?? new Status(StatusCode.Unknown, "No grpc-status found on response."),
                    ResponseMetadata.Read(trailers));
            }
            catch (Exception exception)
            {
                TryFinish(ExceptionMapping.StatusOf(exception, "Error reading the response."), null);
            }

            _frames!.Dispose();
            _response!.Dispose();
        }

        return _status.StatusCode == StatusCode.OK ? null : throw CreateException();
    }

    private async Task<TResponse> ReceiveSingleAsync()
    {
        var message = await ReadNextAsync().ConfigureAwait(false);
        if (message is not null && await ReadNextAsync().ConfigureAwait(false) is null)
            return message;

        var violation = new Status(
            StatusCode.Internal, message is null ? "The response has no message." : "Additional data after the message received.");
        TryFinish(violation, null);
        _status = violation;
        Dispose();
        throw CreateException();
    }

    /// <summary>Sends the request and waits for the headers of the response; false when the call ended with them.</summary>
    private async Task<bool> SendAsync(HttpContent content)
    {
        if (IsFinished)
            return false;

        try
        {
            GrpcClientLog.CallStarted(_channel.Logger, _method.FullName, _channel.Address);
            var request = CreateRequest(content);
            if (_channel.CallCredentials.Count > 0 || _options.Credentials is not null)
                await ApplyCallCredentialsAsync(request).ConfigureAwait(false);
            if (_options.IsWaitForReady)
                await _channel.ConnectAsync(Cancellation).ConfigureAwait(false);

            _response = await _channel.SendAsync(request, Cancellation).ConfigureAwait(false);
            return await ReceiveHeadersAsync(_response).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            TryFinish(ExceptionMapping.StatusOf(exception, "Error starting gRPC call."), null);
            return false;
        }
    }

    private async Task<bool> ReceiveHeadersAsync(HttpResponseMessage response)
    {
        var headers = ResponseMetadata.Read(response.Headers);
        lock (_gate)
        {
            _headers = headers;
            _headersWaiter?.TrySetResult(headers);
        }

        // A status among the headers means that there is nothing else; it is trusted more than the HTTP status.
        var ended = ResponseMetadata.ReadStatus(response.Headers) ?? HttpStatusMapping.Examine(response);
        if (ended is { } status)
            TryFinish(status, headers);
        if (IsFinished)
        {
            response.Dispose();
            return false;
        }

        var body = await response.Content.ReadAsStreamAsync(Cancellation).ConfigureAwait(false);
        _frames = new ResponseFrames(
            body, _channel.Encodings, ResponseMetadata.ReadEncoding(response.Headers), _channel.MaxReceiveMessageSize);
        return true;
    }

    private HttpRequestMessage CreateRequest(HttpContent content)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, _channel.AddressOf(_method.FullName))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        var headers = request.Headers;
        headers.Host = _host;
        headers.TryAddWithoutValidation("te", "trailers");
        headers.TryAddWithoutValidation("user-agent", UserAgent);
        headers.TryAddWithoutValidation(GrpcProtocol.MessageAcceptEncoding, _channel.Encodings.AcceptEncoding);
        if (_requestFormat.Compression is { } compression)
            headers.TryAddWithoutValidation(GrpcProtocol.MessageEncoding, compression.EncodingName);
        if (_deadlineTimer is not null)
            headers.TryAddWithoutValidation(GrpcProtocol.Timeout, TimeoutHeader.Format(_options.Deadline!.Value - DateTime.UtcNow));
        if (_options.Headers is { Count: > 0 } metadata)
            RequestHeaders.Append(headers, metadata);

        return request;
    }

    private async Task ApplyCallCredentialsAsync(HttpRequestMessage request)
    {
        if (!_channel.SendsCallCredentials)
        {
            GrpcClientLog.CallCredentialsNotSent(_channel.Logger, _method.FullName);
            return;
        }

        var serviceUrl = new Uri(_channel.Address, $"/{_method.ServiceName}").ToString();
        var context = new AuthInterceptorContext(serviceUrl, _method.Name, Cancellation);
        foreach (var credentials in _channel.CallCredentials)
            await CallCredentialsReader.ApplyAsync(credentials, context, request).ConfigureAwait(false);
        if (_options.Credentials is not null)
            await CallCredentialsReader.ApplyAsync(_options.Credentials, context, request).ConfigureAwait(false);
    }

    private ICompressionProvider? RequestCompression()
    {
        var encoding = _options.Headers?.GetValue(GrpcProtocol.RequestCompression);
        return encoding is null or GrpcProtocol.IdentityEncoding
            ? null
            : _channel.Encodings.Find(encoding) ?? throw new InvalidOperationException(
                $"No compression provider for '{encoding}', which the request asks for. Supported encodings: {_channel.Encodings.AcceptEncoding}");
    }
}
