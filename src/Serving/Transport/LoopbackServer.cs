using System.Net;
using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Transport;

/// <summary>One ranking service by itself behind the server's transport, for nobody but this machine: benchmarks, and the <c>Rehearsal</c>.</summary>
public static class LoopbackServer
{
    /// <summary>Not started; logs nothing.</summary>
    /// <param name="port">0: any free port.</param>
    /// <param name="gate">What refuses its calls; the service tells it of those that have arrived.</param>
    /// <param name="metrics">Where refusals are counted. The server's own: who has made it disposes it.</param>
    public static WebApplication Build<TEndpoint>(int port, AdmissionGate gate, RankingMetrics metrics, Func<IServiceProvider, TEndpoint> service)
        where TEndpoint : RankingEndpoint
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            RankingTransport.Configure(kestrel);
            RankingTransport.Listen(kestrel, IPAddress.Loopback, port);
        });
        builder.Services.AddRoutingCore();
        RankingTransport.AddTo(builder.Services);
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(metrics);
        builder.Services.AddSingleton(gate);
        builder.Services.AddSingleton(service);
        builder.Services.AddSingleton<RankingEndpoint>(p => p.GetRequiredService<TEndpoint>());
        var app = builder.Build();
        app.UseMiddleware<EarlyRefusal>();
        app.UseRouting();
        app.MapGrpcService<TEndpoint>();
        return app;
    }
}
