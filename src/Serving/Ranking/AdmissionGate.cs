using KdServing.Serving.Transport;

namespace KdServing.Serving.Ranking;

/// <summary>Lets as many requests compute as there are cores; the rest wait in line, or are refused at once when the line is too long in time.</summary>
/// <remarks>
/// Any thread. The expected wait is the length of the line times the mean time from one departure to the next. While there is a line, that time is
/// measured as such: it includes what a request's own time does not show, that a waiter's thread has to be woken and that all share the cores
/// with whatever else runs on them. While there is none, it is a request's own time over the number served at a time.
/// <code>
/// await gate.EnterAsync();
/// try { … } finally { gate.Leave(startedTimestamp); }
/// </code>
/// </remarks>
public sealed class AdmissionGate(int concurrency, double maxQueueMs, TimeProvider? time = null)
{
    private const double MeanWeight = 0.05;
    // A single request that was descheduled for 50 ms says little of the next one: one sample moves the mean by 3x at most.
    private const double OutlierFactor = 3;
    private const double CrowdedShare = 0.5;

    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Queue<Turn> line = [];
    private readonly Lock gate = new();
    private double intervalMs = 1.0 / concurrency;
    private long lastDeparture;
    private bool isFullSinceDeparture;
    private int running;
    private int coming;
    private long lastExpected;

    /// <summary>Requests that compute at a time.</summary>
    public int Concurrency => concurrency;

    /// <summary>Who would wait longer than so many milliseconds is refused; changes hold from the next request on.</summary>
    internal double MaxQueueMs { get; set; } = maxQueueMs;

    /// <summary>Mean time from one departure to the next, in milliseconds, as expected waits are told by.</summary>
    internal double IntervalMs => Volatile.Read(ref intervalMs);

    /// <summary>Where the next in line goes on; null: on the thread pool.</summary>
    internal RankingThreads? Threads { get; set; }

    /// <summary>Requests computing now.</summary>
    public int Running => Volatile.Read(ref running);

    /// <summary>Requests waiting now.</summary>
    public int Waiting => Line.Waiting;

    /// <summary>How many wait now, and whether it takes them so long that others are being refused, or soon will be.</summary>
    public (int Waiting, bool IsCrowded) Line
    {
        get
        {
            lock (gate)
                return (line.Count, line.Count > 0 && ExpectedMs > MaxQueueMs * CrowdedShare);
        }
    }

    /// <summary>True while a request that is here now would be refused.</summary>
    /// <param name="expectedMs">How long it would wait.</param>
    public bool IsFull(out double expectedMs)
    {
        // Every call asks, most when nobody waits: they need no lock to know.
        expectedMs = 0;
        if (Volatile.Read(ref running) < concurrency)
            return false;
        lock (gate)
            expectedMs = running < concurrency ? 0 : ExpectedMs;
        return expectedMs > MaxQueueMs;
    }

    /// <summary>For whoever sees requests before they are read: counts one as under way to here, unless it would be refused.</summary>
    /// <remarks>
    /// Reading a request takes a moment, in which the line does not show it: whoever looked at the line alone would let all pass that arrive
    /// meanwhile. Some of those counted never come (their client gives up, or sent nonsense): the count is an estimate, which begins anew
    /// whenever a request leaves nobody behind in line, which too high a count brings about by itself; and when nothing computes and nobody was
    /// let pass for as long as anybody may wait: who has not come by then will not.
    /// </remarks>
    /// <param name="expectedMs">How long it would wait.</param>
    public bool TryExpect(out double expectedMs)
    {
        expectedMs = 0;
        var (computing, now) = (Volatile.Read(ref running), time.GetTimestamp());
        if (computing == 0 && time.GetElapsedTime(Volatile.Read(ref lastExpected), now).TotalMilliseconds > MaxQueueMs)
            Volatile.Write(ref coming, 0);
        if (computing + Interlocked.Increment(ref coming) > concurrency)
        {
            lock (gate)
                expectedMs = Math.Max(0, running + line.Count + coming - concurrency) * intervalMs;
            if (expectedMs > MaxQueueMs)
            {
                Arrived();
                return false;
            }
        }
        Volatile.Write(ref lastExpected, now);
        return true;
    }

    /// <summary>What was expected is read, or will not come here.</summary>
    public void Arrived()
    {
        for (var count = Volatile.Read(ref coming); count > 0;)
        {
            var seen = Interlocked.CompareExchange(ref coming, count - 1, count);
            if (seen == count)
                return;
            count = seen;
        }
    }

    /// <summary>Completes when the request may compute.</summary>
    /// <param name="patienceMs">How long its caller still waits; what would take longer is refused now, not computed in vain.</param>
    /// <exception cref="OverloadException">It would wait too long; nothing is taken.</exception>
    public Task EnterAsync(double patienceMs = double.PositiveInfinity)
    {
        lock (gate)
        {
            if (running < concurrency)
            {
                running++;
                return Threads is { AreReading: true } ? Threads.Queue(NewTurn()).Task : Task.CompletedTask;
            }
            var expectedMs = ExpectedMs;
            if (expectedMs > Math.Min(MaxQueueMs, patienceMs))
                throw new OverloadException(expectedMs);
            var turn = NewTurn();
            line.Enqueue(turn);
            return turn.Task;
        }
    }

    private Turn NewTurn() => new(Threads is null ? TaskCreationOptions.RunContinuationsAsynchronously : TaskCreationOptions.None);

    private double ExpectedMs => (line.Count + 1) * intervalMs;

    /// <summary>The request is done; the next in line enters.</summary>
    /// <param name="started">Timestamp of when it began to compute; null: it was dropped unrun, and says nothing of how long one takes.</param>
    public void Leave(long? started)
    {
        Turn? next;
        lock (gate)
        {
            if (started is { } timestamp)
                Departed(timestamp);
            if (!line.TryDequeue(out next))
            {
                running--;
                isFullSinceDeparture = false;
                Volatile.Write(ref coming, 0);
            }
        }
        if (next is null)
            return;
        if (Threads is { } threads)
            threads.Queue(next);
        else
            next.SetResult();
    }

    private void Departed(long started)
    {
        var now = time.GetTimestamp();
        var sampleMs = isFullSinceDeparture
            ? time.GetElapsedTime(lastDeparture, now).TotalMilliseconds
            : time.GetElapsedTime(started, now).TotalMilliseconds / concurrency;
        intervalMs += MeanWeight * (Math.Min(sampleMs, OutlierFactor * intervalMs) - intervalMs);
        // Somebody in line takes the place at once: until the next departure, all places are taken.
        (lastDeparture, isFullSinceDeparture) = (now, line.Count > 0);
    }

    private sealed class Turn(TaskCreationOptions options) : TaskCompletionSource(options), IThreadPoolWorkItem
    {
        public void Execute() => SetResult();
    }
}

/// <summary>More requests than can be answered in time.</summary>
/// <param name="expectedMs">How long this one would have waited: when a client may try again.</param>
public sealed class OverloadException(double expectedMs) : Exception(Words(expectedMs))
{
    /// <summary>Tells a gRPC client when to try again (gRFC A6).</summary>
    public const string PushbackTrailer = "grpc-retry-pushback-ms";

    public double ExpectedMs { get; } = expectedMs;

    /// <summary>How a refusal says it.</summary>
    internal static string Words(double expectedMs) => $"the server is overloaded: the wait would be {expectedMs:F0} ms";
}
