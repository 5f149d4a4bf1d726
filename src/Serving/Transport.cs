using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KdServing.Serving;

/// <summary>How HTTP/2 carries ranking requests; what benchmarks of the gRPC layer alone use too.</summary>
public static class Transport
{
    /// <summary>Sets the limits of a server that gets many requests of up to some 100 KB over few connections.</summary>
    public static void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        // A request of 1,000 candidates is some 100 KB: windows that hold several, so that one connection is not the limit.
        kestrel.Limits.Http2.InitialConnectionWindowSize = 8 * 1024 * 1024;
        kestrel.Limits.Http2.InitialStreamWindowSize = 1024 * 1024;
        kestrel.Limits.Http2.MaxStreamsPerConnection = 512;
    }
}
