using System.Net;

namespace Grpc.Net.Client.Internal;

/// <summary>The body of a request with many messages: it lends its stream to a writer until the writer or the call ends.</summary>
internal sealed class StreamRequestContent : HttpContent
{
    private readonly TaskCompletionSource<Stream> _stream = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _end = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public StreamRequestContent() => Headers.ContentType = RequestContentType.Value;

    /// <summary>The stream, as soon as the request is being sent; cancelled when the call ends first.</summary>
    public Task<Stream> Stream => _stream.Task;

    /// <summary>Ends the request: the server sees a whole stream of messages.</summary>
    public void End() => _end.TrySetResult();

    /// <summary>Breaks a request off that has not ended: the server must not take what it has for the whole.</summary>
    public void Abort()
    {
        _stream.TrySetCanceled();
        _end.TrySetCanceled();
    }

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        // Sends the headers now; the first message may be long in coming.
        await stream.FlushAsync().ConfigureAwait(false);
        _stream.TrySetResult(stream);
        await _end.Task.ConfigureAwait(false);
    }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}
