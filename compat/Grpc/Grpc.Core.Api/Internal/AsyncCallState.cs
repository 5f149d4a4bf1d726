namespace Grpc.Core.Internal;

/// <summary>The delegates behind a call in flight, with the object that they all take, so that a call needs no closures.</summary>
internal readonly struct AsyncCallState(
    Func<object, Task<Metadata>> responseHeadersAsync,
    Func<object, Status> getStatus,
    Func<object, Metadata> getTrailers,
    Action<object> dispose,
    object state)
{
    /// <summary>Wraps delegates that carry their own state.</summary>
    public static AsyncCallState FromClosures(
        Task<Metadata> responseHeadersAsync, Func<Status> getStatus, Func<Metadata> getTrailers, Action dispose) =>
        new(_ => responseHeadersAsync, _ => getStatus(), _ => getTrailers(), _ => dispose(), getStatus);

    public Task<Metadata> ResponseHeadersAsync => responseHeadersAsync(state);

    public Status GetStatus() => getStatus(state);

    public Metadata GetTrailers() => getTrailers(state);

    public void Dispose() => dispose(state);
}
