using System.Collections.Concurrent;

namespace KdServing.LoadTests.Chaos;

/// <summary>Asks Serving all the time which version it has in service: it must never go back by itself.</summary>
internal sealed class ServedVersions : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentQueue<string> regressions = [];
    private readonly Task running;
    private long newest;

    /// <param name="interval">Between two looks.</param>
    public ServedVersions(ChaosSystem system, TimeSpan interval) => running = Task.Run(async () =>
    {
        while (!stop.IsCancellationRequested)
        {
            // 0: it did not answer.
            var version = (await system.ServingStatusAsync()).Count("version");
            if (version > 0 && version < Newest)
                regressions.Enqueue($"Serving went back from version {Newest} to {version}");
            Interlocked.Exchange(ref newest, Math.Max(version, Newest));
            await Task.Delay(interval, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    });

    public long Newest => Interlocked.Read(ref newest);

    public IReadOnlyCollection<string> Regressions => regressions;

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }
}
