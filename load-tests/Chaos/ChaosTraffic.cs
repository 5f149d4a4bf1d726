using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using KdServing.Contracts;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Chaos;

/// <summary>Ranking requests as recommender services send them: open loop, one more try when the ranker is unavailable.</summary>
internal sealed class ChaosTraffic : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly GrpcChannel channel;
    private readonly GrpcChannel? secondChannel;
    private readonly RetryOnce retry;
    private readonly RankingTraffic traffic;
    private readonly Task running;
    private long failedWhileDead;

    /// <summary>Sends from now on.</summary>
    /// <param name="second">Where a second try goes; null: to the same address.</param>
    public ChaosTraffic(Uri address, ChaosStudent student, double ratePerSecond, int candidates, DeadTimes dead, int seed, Uri? second = null)
    {
        channel = GrpcChannel.ForAddress(address);
        secondChannel = second is null ? null : GrpcChannel.ForAddress(second);
        retry = new(secondChannel?.CreateCallInvoker(), (began, _) =>
        {
            if (dead.Overlaps(began))
                Interlocked.Increment(ref failedWhileDead);
        });
        var requests = RankingRequests.Open(student.Reader, new()
        {
            Candidates = candidates,
            Model = student.Model,
            SchemaFingerprint = student.Schema.Fingerprint,
            Seed = seed,
        });
        traffic = new(new Ranking.RankingClient(channel.CreateCallInvoker().Intercept(retry)), requests, new() { RatePerSecond = ratePerSecond, Seed = seed });
        running = Task.Run(() => traffic.RunAsync(stop.Token));
    }

    public TrafficFigures Figures => traffic.Figures();

    public long Retries => retry.Retries;

    public long FailedWhileServingWasDead => Interlocked.Read(ref failedWhileDead);

    /// <summary>Failed for no reason of ours, a wrong reply included.</summary>
    public long Failed => Figures.ErrorCount - FailedWhileServingWasDead;

    /// <summary>What failed, by reason.</summary>
    public string Reasons => string.Join(", ", Figures.Errors.Select(e => $"{e.Value} {e.Key}"));

    /// <summary>Stops sending and waits for the replies under way.</summary>
    public async Task StopAsync()
    {
        await stop.CancelAsync();
        await running;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running.ContinueWith(_ => { }, TaskScheduler.Default);
        channel.Dispose();
        secondChannel?.Dispose();
        stop.Dispose();
    }
}
