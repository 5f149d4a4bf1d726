using Grpc.Core;
using KdServing.Contracts;
using Microsoft.AspNetCore.Server.Kestrel.Core;

// A ranking service as the templates of Grpc.AspNetCore make it, without a model: generated messages, every score one half.
var port = int.Parse(args[0], System.Globalization.CultureInfo.InvariantCulture);
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.ConfigureKestrel(k => k.Listen(System.Net.IPAddress.Loopback, port, l => l.Protocols = HttpProtocols.Http2));
builder.Services.AddGrpc();
var app = builder.Build();
app.MapGrpcService<NoopRanking>();
app.Run();

internal sealed class NoopRanking : Ranking.RankingBase
{
    public override Task<RankReply> Rank(RankRequest request, ServerCallContext context)
    {
        var reply = new RankReply { RequestId = request.RequestId, Model = request.Model, Version = 1 };
        var target = new TargetScores { Target = "click" };
        for (var n = 0; n < request.CandidateCount; n++)
            target.Scores.Add(0.5f);
        reply.Targets.Add(target);
        return Task.FromResult(reply);
    }
}
