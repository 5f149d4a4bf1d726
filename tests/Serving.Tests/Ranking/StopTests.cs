using Grpc.Core;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Ranking;

/// <summary>What clients see of a server that stops; the process as a whole is in <see cref="ProcessTests"/>.</summary>
public sealed class StopTests
{
    // A client that is slow to read had its reply, and the end, taken away by the closing connection. Here it begins to read when a server
    // that did not wait would be closing.
    [Fact]
    public async Task A_stream_that_a_stop_ends_can_be_read_to_its_end()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { StreamLinger = TimeSpan.FromSeconds(5) });
        using var call = server.Client.RankStream();
        for (var i = 1; i <= 2; i++)
            await call.RequestStream.WriteAsync(sample.Request(candidates: 5, seed: i));
        var metrics = server.Host.Services.GetRequiredService<RankingMetrics>();
        await Eventually.HoldsAsync(() => metrics.Requests == 2, "both requests are answered");

        var stop = Task.Run(server.Host.StopAsync);
        var streams = server.Host.Services.GetRequiredService<OpenStreams>();
        await Eventually.HoldsAsync(() => streams.AreLingering || stop.IsCompleted, "the stop waits, or is over");
        Assert.False(stop.IsCompleted, "the stop did not wait for the stream's reader");

        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.Equal("r2", call.ResponseStream.Current.RequestId);
        var e = await Assert.ThrowsAsync<RpcException>(() => call.ResponseStream.MoveNext(CancellationToken.None));
        Assert.True(e.StatusCode == StatusCode.Unavailable, $"{e.Status}");
        Assert.Contains("stopping", e.Status.Detail, StringComparison.Ordinal);
        await stop;
    }

    [Fact]
    public async Task A_stop_waits_for_nobody_where_no_stream_is_open()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, change: o => o with { StreamLinger = TimeSpan.FromMinutes(10) });
        await server.Client.RankAsync(sample.Request(candidates: 5, seed: 1));
        using (var call = server.Client.RankStream())
        {
            await call.RequestStream.WriteAsync(sample.Request(candidates: 5, seed: 2));
            await call.RequestStream.CompleteAsync();
            Assert.True(await call.ResponseStream.MoveNext(CancellationToken.None));
            Assert.False(await call.ResponseStream.MoveNext(CancellationToken.None));
        }

        await server.Host.StopAsync();

        Assert.False(server.Host.Services.GetRequiredService<OpenStreams>().AreLingering);
    }
}
