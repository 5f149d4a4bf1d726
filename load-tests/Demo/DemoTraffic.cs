using Grpc.Net.Client;
using KdServing.Contracts;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Demo;

/// <summary>The demo's ranking requests: begun with the first version, following the teacher's event time.</summary>
internal sealed class DemoTraffic : IAsyncDisposable
{
    private readonly GrpcChannel channel;
    private readonly CancellationTokenSource stop = new();
    private readonly Func<Func<long>, RankingTraffic> open;
    private RankingTraffic? traffic;
    private Task running = Task.CompletedTask;

    /// <param name="items">Puts the requests' items into the catalog and names them by id; null: requests bring their features.</param>
    public DemoTraffic(DemoOptions options, DemoDataset dataset, Uri address, CatalogItems? items)
    {
        channel = GrpcChannel.ForAddress(address);
        open = eventTimeMs =>
        {
            var requests = RankingRequests.Open(dataset.Reader, new()
            {
                Candidates = options.Candidates,
                Model = dataset.Schema.Name,
                SchemaFingerprint = dataset.Schema.Fingerprint,
                FollowEventTimeMs = eventTimeMs,
                FromEventTimeMs = eventTimeMs(),
            });
            return new(new Ranking.RankingClient(channel), items is null ? requests : requests with { Next = offset => items.ById(requests.Next(offset)) },
                new() { RatePerSecond = options.Rate });
        };
    }

    public bool Started { get; private set; }

    public TrafficFigures Figures => traffic?.Figures()
        ?? new(0, 0, 0, 0, new Dictionary<string, long>(), [], new(), new());

    public TrafficRecord? Record => traffic?.Record;

    /// <summary>Sends from now on; the log's history is read in the background first.</summary>
    /// <param name="eventTimeMs">Event time the teacher has reached.</param>
    public void Start(Func<long> eventTimeMs)
    {
        Started = true;
        running = Task.Run(async () =>
        {
            var opened = open(eventTimeMs);
            traffic = opened;
            await opened.RunAsync(stop.Token);
        });
    }

    /// <summary>Passes on what broke the generator itself; failed requests are counted, not thrown.</summary>
    public void ThrowIfFailed()
    {
        if (running.IsFaulted)
            throw new DemoException($"ranking traffic stopped: {running.Exception!.InnerException!.Message}");
    }

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
        stop.Dispose();
    }
}
