namespace KdServing.Serving.Status;

/// <summary>Latency second by second, for the last five minutes.</summary>
public sealed class LatencySeries(LatencyHistogram histogram) : BackgroundService
{
    private const int Kept = 300;
    private readonly Queue<LatencyPoint> points = [];
    private readonly Lock gate = new();

    public IReadOnlyList<LatencyPoint> Points()
    {
        lock (gate)
            return [.. points];
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
        var before = histogram.Snapshot();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            var now = histogram.Snapshot();
            var second = now.Zip(before, (a, b) => a - b).ToArray();
            before = now;
            lock (gate)
            {
                points.Enqueue(new(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), second.Sum(),
                    LatencyHistogram.QuantileMs(second, 0.5), LatencyHistogram.QuantileMs(second, 0.99), LatencyHistogram.QuantileMs(second, 1)));
                if (points.Count > Kept)
                    points.Dequeue();
            }
        }
    }
}

/// <summary>Requests answered in one second, and their latency in milliseconds.</summary>
public sealed record LatencyPoint(long AtMs, long Requests, double P50, double P99, double Max);
