namespace KdServing.Serving.Models;

/// <summary>A lease of one version: it stays alive and unchanged until the lease is disposed. Keep it for one request, no longer.</summary>
/// <remarks>A struct, so that a request allocates nothing for it; it is disposed exactly once, by who acquired it.</remarks>
public readonly struct ServableHandle : IDisposable
{
    internal ServableHandle(Servable servable) => Servable = servable;

    public Servable Servable { get; }

    public void Dispose() => Servable.Leases.Release();
}
