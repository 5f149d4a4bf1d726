using Grpc.Core;
using KdServing.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Benchmarks.Peers;

/// <summary><c>kd-noop</c>: the server's gRPC layer without the server. Requests are read whole, every score is one half.</summary>
/// <remarks>Run under Serving's runtime configuration, with Serving's Kestrel limits, so that what differs from it is the model alone.</remarks>
internal static class NoopServer
{
    public const string Verb = "noop-server";

    public static async Task RunAsync(int port)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(System.Net.IPAddress.Loopback, port, l => l.Protocols = HttpProtocols.Http2);
            kestrel.Limits.Http2.InitialConnectionWindowSize = 8 * 1024 * 1024;
            kestrel.Limits.Http2.InitialStreamWindowSize = 1024 * 1024;
            kestrel.Limits.Http2.MaxStreamsPerConnection = 512;
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddGrpc();
        builder.Services.AddSingleton<NoopRanking>();
        await using var app = builder.Build();
        app.UseRouting();
        app.MapGrpcService<NoopRanking>();
        await app.RunAsync();
    }

    private sealed class NoopRanking : Contracts.Ranking.RankingBase
    {
        public override Task<RankReply> Rank(RankRequest request, ServerCallContext context)
        {
            var scores = new TargetScores { Target = "click" };
            scores.Scores.Capacity = request.CandidateCount;
            for (var n = 0; n < request.CandidateCount; n++)
                scores.Scores.Add(0.5f);
            return Task.FromResult(new RankReply { RequestId = request.RequestId, Model = PeerModel.Name, Version = 1, Targets = { scores } });
        }
    }
}
