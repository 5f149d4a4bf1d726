using KdServing.Serving.Connections;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.AspNetCore.Http;

namespace KdServing.Serving.Tests.Connections;

public sealed class EarlyRefusalTests
{
    private const string RankPath = "/kdserving.v1.Ranking/Rank";

    [Fact]
    public async Task What_is_not_refused_goes_on()
    {
        using var metrics = new RankingMetrics();
        var (gate, passed) = (new AdmissionGate(concurrency: 1, maxQueueMs: 0.5), 0);
        var refusal = new EarlyRefusal(
            _ =>
            {
                passed++;
                return Task.CompletedTask;
            },
            new(gate, metrics));
        await refusal.InvokeAsync(Call(RankPath));
        _ = gate.EnterAsync();
        // Whoever asks for the server's health is answered however busy it is; a stream is judged a message at a time.
        await refusal.InvokeAsync(Call("/grpc.health.v1.Health/Check"));
        await refusal.InvokeAsync(Call(RankPath + "Stream"));
        Assert.Equal(3, passed);
        Assert.Equal(0, metrics.Requests);
    }

    [Fact]
    public async Task A_refusal_is_headers_alone_in_words_made_once()
    {
        using var metrics = new RankingMetrics();
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 0.5);
        _ = gate.EnterAsync();
        var refusal = new EarlyRefusal(_ => throw new InvalidOperationException("the call was let through"), new(gate, metrics));
        var (first, second) = (Call(RankPath), Call(RankPath));
        await refusal.InvokeAsync(first);
        await refusal.InvokeAsync(second);
        var headers = first.Response.Headers;
        Assert.Equal("application/grpc", headers.ContentType);
        Assert.Equal("8", headers["grpc-status"]);
        Assert.Equal("the server is overloaded: the wait would be 1 ms", headers["grpc-message"]);
        Assert.Equal("1", headers["grpc-retry-pushback-ms"]);
        foreach (var (name, value) in headers)
            Assert.Same(value[0], second.Response.Headers[name][0]);
        Assert.Equal(2, metrics.Requests);
    }

    private static DefaultHttpContext Call(string path) => new() { Request = { Path = path } };
}
