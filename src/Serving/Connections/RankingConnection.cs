using System.IO.Pipelines;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace KdServing.Serving.Connections;

/// <summary>A connection between its socket and Kestrel: ranking calls are answered (ADR 29) or refused (ADR 27) where their bytes arrive, the rest is Kestrel's.</summary>
internal sealed class RankingConnection : IDuplexPipe
{
    private readonly ConnectionInput input;
    private readonly ConnectionOutput output;

    private RankingConnection(IDuplexPipe transport, Refusals refusals, RankingEndpoint endpoint, OpenCalls openCalls, GatheredSends gathered, RankingMetrics metrics, RankingThreads threads)
    {
        var bodies = new OpenBodies();
        output = new(transport.Output, openCalls, gathered, bodies);
        var calls = new TakenCalls(endpoint, refusals, openCalls, output, metrics, threads);
        input = new(transport.Input, new(refusals, calls, output, bodies), output);
    }

    public PipeReader Input => input;

    public PipeWriter Output => output;

    /// <summary>Has the connections of a listener, HTTP/2 without TLS, go through it.</summary>
    public static void AddTo(ListenOptions listener)
    {
        var services = listener.ApplicationServices;
        var (refusals, endpoint, openCalls, gathered, metrics, threads) = (services.GetRequiredService<Refusals>(), services.GetRequiredService<RankingEndpoint>(),
            services.GetRequiredService<OpenCalls>(), services.GetRequiredService<GatheredSends>(), services.GetRequiredService<RankingMetrics>(), services.GetRequiredService<RankingThreads>());
        // Before Kestrel closes connections: it stops with the host's services, which is after this.
        services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping.Register(openCalls.Close);
        listener.Use(next => async connection =>
        {
            var transport = connection.Transport;
            var ours = new RankingConnection(transport, refusals, endpoint, openCalls, gathered, metrics, threads);
            connection.Transport = ours;
            try
            {
                await next(connection);
            }
            finally
            {
                connection.Transport = transport;
                // Calls that are still being ranked have nowhere to go.
                await ours.Output.CompleteAsync();
            }
        });
    }
}
