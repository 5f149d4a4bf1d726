using Grpc.Core;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>What clients see of a server that stops; the process as a whole is in <see cref="ProcessTests"/>.</summary>
public sealed class StopTests
{
    // A client that is slow to read had its reply, and the end, taken away by the closing connection.
    [Fact]
    public async Task A_stream_that_a_stop_ends_can_be_read_to_its_end()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { StreamLinger = TimeSpan.FromSeconds(3) });
        using var call = server.Client.RankStream();
        for (var i = 1; i <= 2; i++)
            await call.RequestStream.WriteAsync(sample.Request(candidates: 5, seed: i));
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        await Eventually.HoldsAsync(() => metrics.Requests == 2, "both requests are answered");

        var stop = Task.Run(server.Host.StopAsync);
        await Eventually.HoldsAsync(() => server.Host.Services.GetRequiredService<ServingStatus>().State == "stopping", "the server is stopping");
        await Task.Delay(300);

        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal("r2", call.ResponseStream.Current.RequestId);
        var e = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.True(e.StatusCode == StatusCode.Unavailable, $"{e.Status}");
        Assert.Contains("stopping", e.Status.Detail, StringComparison.Ordinal);
        await stop;
    }
}
