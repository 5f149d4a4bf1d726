using System.Diagnostics.Metrics;

namespace KdServing.Serving.Status;

/// <summary>Why a request was not scored together with others.</summary>
internal enum BatchBypass
{
    /// <summary>It names items of the catalog.</summary>
    Catalog,

    /// <summary>It alone has more candidates than a batch.</summary>
    Large,

    /// <summary>The hand-written kernel scores its version.</summary>
    Kernel,

    /// <summary>Batching was tried and did not help.</summary>
    NotHelping,

    /// <summary>More requests than can be answered in time.</summary>
    Overload,

    /// <summary>The server stops.</summary>
    Stopping,
}

/// <summary>What batching does: how large batches are, how long requests wait for others, which went by. Any thread.</summary>
public sealed class BatchMetrics
{
    // Boxed once: a tag is an object, and a request must not make one.
    private static readonly object[] Reasons = ["catalog", "large", "kernel", "not_helping", "overload", "stopping"];

    private readonly Counter<long> bypassedCounter;
    private readonly long[] bypassed = new long[Reasons.Length];
    private long batches;
    private long requests;
    private long candidates;
    private long waitedUs;

    public BatchMetrics(Meter meter)
    {
        bypassedCounter = meter.CreateCounter<long>("kd_batch_bypassed", "requests", "Requests not scored together with others, by reason.");
        meter.CreateObservableCounter("kd_batches", () => Volatile.Read(ref batches), description: "Batches scored, those of one request included.");
        meter.CreateObservableCounter("kd_batch_requests", () => Volatile.Read(ref requests), description: "Requests scored in batches.");
        meter.CreateObservableCounter("kd_batch_candidates", () => Volatile.Read(ref candidates), description: "Candidates scored in batches.");
        meter.CreateObservableCounter("kd_batch_wait_microseconds", () => Volatile.Read(ref waitedUs),
            description: "Time requests waited from joining their batch until it was scored, all together.");
    }

    /// <summary>A batch was scored.</summary>
    /// <param name="waitedUs">Of all its requests, microseconds.</param>
    public void Ran(int requests, int candidates, double waitedUs)
    {
        Interlocked.Increment(ref batches);
        Interlocked.Add(ref this.requests, requests);
        Interlocked.Add(ref this.candidates, candidates);
        Interlocked.Add(ref this.waitedUs, (long)waitedUs);
    }

    internal void Bypassed(BatchBypass reason)
    {
        Interlocked.Increment(ref bypassed[(int)reason]);
        bypassedCounter.Add(1, new KeyValuePair<string, object?>("reason", Reasons[(int)reason]));
    }

    /// <param name="isOn">Batching is used.</param>
    /// <param name="waiting">Requests that wait for others now.</param>
    public BatchingReport Report(int budgetUs, int maxCandidates, bool isOn, int waiting)
    {
        var (runs, scored) = (Volatile.Read(ref batches), Volatile.Read(ref requests));
        return new(budgetUs, maxCandidates, isOn, waiting, runs, scored, PerUnit(scored, runs), PerUnit(Volatile.Read(ref candidates), runs),
            PerUnit(Volatile.Read(ref waitedUs), scored),
            Enumerable.Range(0, Reasons.Length).ToDictionary(r => (string)Reasons[r], r => Volatile.Read(ref bypassed[r])));
    }

    private static double PerUnit(long sum, long count) => count == 0 ? 0 : Math.Round((double)sum / count, 2);
}

/// <summary>How requests of several users are scored together.</summary>
/// <param name="BudgetUs">Longest wait of a batch's first request for others, microseconds.</param>
/// <param name="MaxCandidates">Candidates a batch.</param>
/// <param name="IsOn">False while batching is not used because it did not help.</param>
/// <param name="Waiting">Requests that wait for others now.</param>
/// <param name="MeanWaitUs">From joining a batch until it is scored, microseconds.</param>
/// <param name="Bypassed">Requests scored by themselves, by reason.</param>
public sealed record BatchingReport(int BudgetUs, int MaxCandidates, bool IsOn, int Waiting, long Batches, long Requests, double RequestsPerBatch,
    double CandidatesPerBatch, double MeanWaitUs, IReadOnlyDictionary<string, long> Bypassed);
