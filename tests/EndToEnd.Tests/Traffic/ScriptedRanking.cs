using System.Net;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Contracts;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.EndToEnd.Tests.Traffic;

/// <summary>A real gRPC server in this process whose replies the test scripts.</summary>
internal sealed class ScriptedRanking : IAsyncDisposable
{
    private readonly WebApplication _application;

    private ScriptedRanking(WebApplication application)
    {
        _application = application;
        var addresses = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!;
        Channel = GrpcChannel.ForAddress(addresses.Addresses.Single());
        Client = new Ranking.RankingClient(Channel);
    }

    public GrpcChannel Channel { get; }

    public Uri Address => new(_application.Urls.Single());

    public Ranking.RankingClient Client { get; }

    public static async Task<ScriptedRanking> StartAsync(Func<RankRequest, Task<RankReply>> script, int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, port, o => o.Protocols = HttpProtocols.Http2));
        builder.Services.AddGrpc();
        builder.Services.AddSingleton(new Script(script));
        var application = builder.Build();
        application.MapGrpcService<Service>();
        await application.StartAsync();
        return new ScriptedRanking(application);
    }

    /// <summary>A right reply by a version: every score one half.</summary>
    public static RankReply Reply(RankRequest request, long version)
    {
        var scores = new TargetScores { Target = "click" };
        for (var i = 0; i < request.CandidateCount; i++)
            scores.Scores.Add(0.5f);
        return new RankReply { RequestId = request.RequestId, Version = version, WatermarkMs = version * 1000, Targets = { scores } };
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        await _application.DisposeAsync();
    }

    private sealed record Script(Func<RankRequest, Task<RankReply>> Answer);

    private sealed class Service(Script script) : Ranking.RankingBase
    {
        public override Task<RankReply> Rank(RankRequest request, ServerCallContext context) => script.Answer(request);

        public override async Task RankStream(IAsyncStreamReader<RankRequest> requestStream, IServerStreamWriter<RankReply> responseStream, ServerCallContext context)
        {
            while (await requestStream.MoveNext(context.CancellationToken))
                await responseStream.WriteAsync(await script.Answer(requestStream.Current));
        }
    }
}
