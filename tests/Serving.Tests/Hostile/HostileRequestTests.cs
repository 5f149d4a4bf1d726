using System.Diagnostics;
using Grpc.Core;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;

namespace KdServing.Serving.Tests.Hostile;

/// <summary>What a client that is broken, hostile or in a hurry can do to a server: nothing that others notice.</summary>
public sealed class HostileRequestTests
{
    private const int Hurried = 2000;
    private const int AtOnce = 32;

    [Fact]
    public async Task Hostile_names_are_refused_without_a_word_about_the_disk()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        foreach (var name in HostileNames.All.Where(n => n.Length > 0 && !n.Any(char.IsSurrogate)))
        {
            var request = sample.Request(candidates: 1, seed: 1);
            request.Model = name;
            var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request));
            Assert.Equal(StatusCode.InvalidArgument, e.StatusCode);
            Assert.StartsWith("model:", e.Status.Detail, StringComparison.Ordinal);
            Assert.DoesNotContain(server.Repository.Root, e.Status.Detail, StringComparison.Ordinal);
        }
    }

    // Deadlines of a millisecond and calls given up at any moment: whatever was taken is given back.
    [Fact]
    public async Task Calls_given_up_leave_no_slot_taken()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, new() { Concurrency = 2, MaxQueueMs = 1000 });
        var gate = server.Host.Services.GetRequiredService<AdmissionGate>();
        var request = sample.Request(candidates: 200, seed: 1);
        var done = 0;
        await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async worker =>
        {
            var random = new Random(worker);
            while (Interlocked.Increment(ref done) <= Hurried)
            {
                using var cancel = new CancellationTokenSource();
                try
                {
                    using var call = server.Client.RankAsync(request, deadline: random.Next(2) == 0 ? DateTime.UtcNow.AddMilliseconds(1) : null, cancellationToken: cancel.Token);
                    if (random.Next(2) == 0)
                        cancel.CancelAfter(TimeSpan.FromMicroseconds(random.Next(3000)));
                    await call;
                }
                catch (RpcException e)
                {
                    Assert.True(e.StatusCode is StatusCode.DeadlineExceeded or StatusCode.Cancelled or StatusCode.ResourceExhausted, $"{e.Status}");
                }
            }
        }));
        var since = Stopwatch.GetTimestamp();
        await Eventually.HoldsAsync(() => gate is { Running: 0, Waiting: 0 }, "every slot is free again");
        Assert.True(Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(1));
        await server.Client.RankAsync(request);
        Assert.Equal(0, server.Host.Services.GetRequiredService<RankingMetrics>().ByCode().GetValueOrDefault("Internal"));
        await Eventually.HoldsAsync(() => server.Slot.Current!.Leases.Leases == 0, "every lease is back");
    }
}
