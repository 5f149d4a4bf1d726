using System.Net;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KdServing.Serving.Transport;

/// <summary>How HTTP/2 carries ranking requests; what benchmarks of the gRPC layer alone use too. Figures: ADR 9.</summary>
public static class RankingTransport
{
    private const int Kilobyte = 1024;

    /// <summary>Connections on <see cref="RankingThreads"/> in place of Kestrel's sockets, and larger blocks in place of its 4 KiB. Who listens also provides an <c>AdmissionGate</c>, <c>RankingMetrics</c> and the <c>RankingEndpoint</c>.</summary>
    public static void AddTo(IServiceCollection services) =>
        services.AddSingleton<IMemoryPoolFactory<byte>, BlockPoolFactory>().AddSingleton<Refusals>().AddSingleton<OpenCalls>()
            .AddSingleton(p => new GatheredSends(p.GetRequiredService<AdmissionGate>()))
            .AddSingleton(p => Threads(p.GetRequiredService<AdmissionGate>())).AddSingleton<IConnectionListenerFactory, PolledTransport>();

    /// <summary>Listens for gRPC (HTTP/2 without TLS); ranking calls are answered, or refused, where their bytes arrive.</summary>
    public static void Listen(KestrelServerOptions kestrel, IPAddress address, int port) => kestrel.Listen(new RankingEndPoint(address, port), listener =>
    {
        listener.Protocols = HttpProtocols.Http2;
        RankingConnection.AddTo(listener);
    });

    /// <summary>Sets the limits of a server that gets many requests of up to some 100 KB over few connections.</summary>
    public static void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        // A request of 1,000 candidates is some 100 KB: windows that hold several, so that one connection is not the limit.
        kestrel.Limits.Http2.InitialConnectionWindowSize = 8 * Kilobyte * Kilobyte;
        kestrel.Limits.Http2.InitialStreamWindowSize = RequestWindow.Wide;
        // A request in one frame wakes its handler once, not once every 16 KiB.
        kestrel.Limits.Http2.MaxFrameSize = 256 * Kilobyte;
        kestrel.Limits.Http2.MaxStreamsPerConnection = 512;
    }

    private static RankingThreads Threads(AdmissionGate gate)
    {
        var threads = new RankingThreads(Math.Max(Environment.ProcessorCount, gate.Concurrency));
        // The next in line is ranked by whoever has made room.
        gate.Threads = threads;
        return threads;
    }
}
