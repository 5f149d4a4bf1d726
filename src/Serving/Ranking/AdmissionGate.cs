using System.Diagnostics;

namespace KdServing.Serving.Ranking;

/// <summary>Lets as many requests compute as there are cores; the rest wait in line, or are refused at once when the line is too long in time.</summary>
/// <remarks>
/// Any thread. The expected wait is the length of the line times the mean time of a request, over the number served at a time.
/// <code>
/// await gate.EnterAsync();
/// try { … } finally { gate.Leave(startedTimestamp); }
/// </code>
/// </remarks>
public sealed class AdmissionGate(int concurrency, double maxQueueMs)
{
    private const double MeanWeight = 0.05;
    // A single request that was descheduled for 50 ms says little of the next one: one sample moves the mean by 3x at most.
    private const double OutlierFactor = 3;

    private readonly Queue<TaskCompletionSource> line = [];
    private readonly Lock gate = new();
    private double meanMs = 1;
    private int running;

    /// <summary>Requests computing now.</summary>
    public int Running => Volatile.Read(ref running);

    /// <summary>Requests waiting now.</summary>
    public int Waiting
    {
        get
        {
            lock (gate)
                return line.Count;
        }
    }

    /// <summary>Completes when the request may compute.</summary>
    /// <exception cref="OverloadException">It would wait too long; nothing is taken.</exception>
    public Task EnterAsync()
    {
        lock (gate)
        {
            if (running < concurrency)
            {
                running++;
                return Task.CompletedTask;
            }
            var expectedMs = (line.Count + 1) * meanMs / concurrency;
            if (expectedMs > maxQueueMs)
                throw new OverloadException(expectedMs);
            var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            line.Enqueue(turn);
            return turn.Task;
        }
    }

    /// <summary>The request is done; the next in line enters.</summary>
    /// <param name="started">Stopwatch timestamp of when it began to compute.</param>
    public void Leave(long started)
    {
        var elapsedMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        TaskCompletionSource? next;
        lock (gate)
        {
            meanMs += MeanWeight * (Math.Min(elapsedMs, OutlierFactor * meanMs) - meanMs);
            if (!line.TryDequeue(out next))
                running--;
        }
        next?.SetResult();
    }
}

/// <summary>More requests than can be answered in time.</summary>
/// <param name="expectedMs">How long this one would have waited: when a client may try again.</param>
public sealed class OverloadException(double expectedMs) : Exception($"the server is overloaded: the wait would be {expectedMs:F0} ms")
{
    public double ExpectedMs { get; } = expectedMs;
}
