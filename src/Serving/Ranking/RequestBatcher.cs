using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Status;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Ranking;

/// <summary>What becomes of a request, as far as batching is concerned.</summary>
internal enum BatchChoice
{
    /// <summary>It is scored by itself: of the wrong kind, or the server has no time to wait.</summary>
    Never,

    /// <summary>It is scored by itself: that is better now.</summary>
    Alone,

    /// <summary>It is scored with others.</summary>
    Together,
}

/// <summary>Lets requests of several users share one run of ONNX Runtime, as long as that helps. Any thread.</summary>
/// <remarks>
/// The first request of a batch waits a time budget for others of the same version; a full batch goes at once. A batch takes one turn of the
/// <see cref="AdmissionGate"/>, and is joined until it has it.
/// <code>
/// var choice = batcher.Choose(request, servable);
/// if (choice == BatchChoice.Together &amp;&amp; await batcher.TryScoreAsync(servable, decodedRun, budget))
///     // scored, as if by itself
/// else
///     // goes the ordinary way, where it is scored, refused, or fails by itself
/// if (choice != BatchChoice.Never) batcher.Answered(…);
/// </code>
/// Whoever asks holds a lease of the version until it is answered.
/// </remarks>
public sealed class RequestBatcher : IDisposable
{
    private readonly BatchingOptions options;
    private readonly AdmissionGate gate;
    private readonly TimeProvider clock;
    private readonly BatchMetrics metrics;
    private readonly BatchPayoff payoff;
    // One a version: there are three at most.
    private readonly List<RequestBatch> open = [];
    private readonly Stack<RequestBatch> idle = [];
    private readonly Lock sync = new();
    private bool closed;

    /// <param name="clock">Its timers decide how exactly the budget is kept.</param>
    public RequestBatcher(BatchingOptions options, AdmissionGate gate, TimeProvider clock, BatchMetrics metrics)
    {
        this.options = options;
        this.gate = gate;
        this.clock = clock;
        this.metrics = metrics;
        payoff = new(clock);
    }

    /// <summary>False while batching is not used because it does not help.</summary>
    public bool IsOn => options.IsForced || payoff.IsOn;

    public BatchingOptions Options => options;

    /// <summary>Requests that wait for others now.</summary>
    public int Waiting
    {
        get
        {
            lock (sync)
                return open.Sum(b => b.Requests);
        }
    }

    public BatchingReport Report() => metrics.Report(options.BudgetMicroseconds, options.MaxCandidates, IsOn, Waiting);

    /// <summary>What is to become of a valid request.</summary>
    internal BatchChoice Choose(RankRequest request, Servable servable)
    {
        // The kernel takes requests one by one, and vectors of the catalog must not be held while others are waited for.
        var bypass = servable.Engine is not (ScoringEngine.OnnxRuntime or ScoringEngine.Device) ? BatchBypass.Kernel
            : request.Catalog is not null ? BatchBypass.Catalog
            : request.CandidateCount > options.MaxCandidates ? BatchBypass.Large
            : Volatile.Read(ref closed) ? BatchBypass.Stopping
            : gate.IsFull(out _) ? BatchBypass.Overload
            : (BatchBypass?)null;
        if (bypass is null && (payoff.Next() || options.IsForced))
            return BatchChoice.Together;
        metrics.Bypassed(bypass ?? BatchBypass.NotHelping);
        return bypass is null ? BatchChoice.Alone : BatchChoice.Never;
    }

    /// <summary>A request that could be batched is answered: what the two ways are compared by.</summary>
    /// <param name="elapsed">Since it came.</param>
    internal void Answered(bool isBatched, TimeSpan elapsed) => payoff.Answered(isBatched, elapsed);

    /// <summary>Scores what is decoded in a run, together with others'.</summary>
    /// <returns>False: not scored. Its caller has gone, the version could not score it, the server is too busy or stops.</returns>
    internal async Task<bool> TryScoreAsync(Servable servable, ScoringRun run, CallBudget budget)
    {
        RequestBatch? displaced = null;
        RequestBatch batch;
        Task<bool> done;
        bool goes;
        lock (sync)
        {
            if (closed)
                return false;
            batch = Join(servable, run.Candidates, out displaced);
            done = batch.Add(run, budget, clock.GetTimestamp());
            goes = batch.Candidates == options.MaxCandidates && !batch.IsDispatched;
            batch.IsDispatched |= goes;
        }
        if (displaced is not null)
            _ = RunAsync(displaced);
        if (goes)
            _ = RunAsync(batch);
        return await done && run.IsFinite;
    }

    /// <summary>Lets no request wait any more: the server stops.</summary>
    public void Close()
    {
        RequestBatch[] last;
        lock (sync)
        {
            closed = true;
            last = [.. open.Where(b => !b.IsDispatched)];
            foreach (var batch in last)
                batch.IsDispatched = true;
        }
        foreach (var batch in last)
            _ = RunAsync(batch);
    }

    public void Dispose()
    {
        Close();
        lock (sync)
        {
            while (idle.TryPop(out var batch))
                batch.Dispose();
        }
    }

    // Of those that are open, the one of this version, if it has room; else a new one.
    private RequestBatch Join(Servable servable, int candidates, out RequestBatch? displaced)
    {
        displaced = null;
        foreach (var batch in open)
        {
            if (batch.Servable != servable)
                continue;
            if (batch.Candidates + candidates <= options.MaxCandidates)
                return batch;
            open.Remove(batch);
            if (!batch.IsDispatched)
            {
                batch.IsDispatched = true;
                displaced = batch;
            }
            break;
        }
        if (!idle.TryPop(out var next))
            next = new(clock, Due);
        next.Open(servable, options.Budget);
        open.Add(next);
        return next;
    }

    private void Due(RequestBatch batch)
    {
        lock (sync)
        {
            // A timer that comes late finds its batch gone, or open once more: then that one goes a little early.
            if (batch.IsDispatched || !open.Contains(batch))
                return;
            batch.IsDispatched = true;
        }
        _ = RunAsync(batch);
    }

    private async Task RunAsync(RequestBatch batch)
    {
        var isScored = false;
        try
        {
            await gate.EnterAsync();
            long? entered = null;
            try
            {
                Seal(batch);
                entered = System.Diagnostics.Stopwatch.GetTimestamp();
                Score(batch);
                isScored = true;
            }
            finally
            {
                gate.Leave(entered);
            }
        }
        catch (Exception e) when (e is OverloadException or OnnxRuntimeException)
        {
            // Each request goes its own way, and is refused or fails by itself.
        }
        finally
        {
            Seal(batch);
            batch.Complete(isScored);
            Recycle(batch);
        }
    }

    private void Score(RequestBatch batch)
    {
        var waitedUs = batch.WaitedMicroseconds(clock);
        var requests = batch.Score(out var candidates);
        if (requests > 0)
            metrics.Ran(requests, candidates, waitedUs);
    }

    private void Seal(RequestBatch batch)
    {
        lock (sync)
        {
            open.Remove(batch);
            batch.Seal();
        }
    }

    private void Recycle(RequestBatch batch)
    {
        lock (sync)
        {
            if (!closed)
            {
                idle.Push(batch);
                return;
            }
        }
        batch.Dispose();
    }
}
