using System.Collections.Concurrent;
using System.Diagnostics;
using KdServing.Serving.Control;
using KdServing.Serving.Status;

namespace KdServing.Serving.Models;

/// <summary>Decides who is in the <see cref="Lineup"/>: takes new versions in, keeps the one before warm, goes back when a new one fails, obeys people.</summary>
/// <remarks>
/// Any thread; changes are made one at a time. A change is an exchange of one field, so that a rollback takes effect while a
/// version is being loaded; that version then finds that a command came in between, and is not admitted. Versions that leave the
/// lineup are drained and freed on the loader's thread.
/// </remarks>
public sealed partial class Rollout : BackgroundService
{
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan DrainPatience = TimeSpan.FromSeconds(5);

    private readonly string model;
    private readonly ServableSlot slot;
    private readonly SwapLedger ledger;
    private readonly ControlStateFile file;
    private readonly RolloutPolicy policy;
    private readonly NicedThread thread;
    private readonly ShadowScoring shadow;
    private readonly TimeProvider clock;
    private readonly ILogger<Rollout> log;
    private readonly Lock gate = new();
    private readonly ConcurrentDictionary<Task, bool> retiring = [];
    private ControlState state;
    private CanaryWish? wish;
    private int commands;
    private long putAt;
    private bool isCurrentNew;
    private int rollbacksInARow;
    private Trial? trial;
    private TaskCompletionSource changed = NewSignal();

    public Rollout(string model, ServableSlot slot, SwapLedger ledger, ControlStateFile file, RolloutPolicy policy, NicedThread thread,
        ShadowScoring shadow, TimeProvider clock, ILogger<Rollout> log)
    {
        this.model = model;
        this.slot = slot;
        this.ledger = ledger;
        this.file = file;
        this.policy = policy;
        this.thread = thread;
        this.shadow = shadow;
        this.clock = clock;
        this.log = log;
        state = file.Load();
    }

    /// <summary>What people want; survives a restart when the server has a state folder.</summary>
    public ControlState State => Volatile.Read(ref state);

    /// <summary>The canary a person asked for; null when none did.</summary>
    public CanaryWish? Wish => Volatile.Read(ref wish);

    /// <summary>Rises with every command and rollback: a load that began before it must look again before it is admitted.</summary>
    public int Commands => Volatile.Read(ref commands);

    /// <summary>Completes at the next change of the lineup or of what people want.</summary>
    public Task Changed => Volatile.Read(ref changed).Task;

    /// <summary>Takes a loaded, warm version in: as the one in service, or as a canary.</summary>
    /// <param name="seenCommands"><see cref="Commands"/> when its loading began.</param>
    /// <param name="entry">Its entry in the ledger.</param>
    /// <returns>False when a command came in between: the version is still the caller's.</returns>
    public bool TryAdmit(Servable next, int seenCommands, long entry)
    {
        lock (gate)
        {
            if (seenCommands != commands)
                return false;
            var isWished = wish?.Version == next.Version;
            if (isWished)
                BeginTrial(next, wish!, entry);
            else if (slot.Current is not null && policy.CanaryShare > 0 && state.Pinned == 0)
                BeginTrial(next, new(next.Version, policy.CanaryShare, policy.ShadowShare, policy.CanaryTime), entry);
            else
                Put(next, entry, keepWarm: slot.Current);
        }
        SaveOrSay();
        return true;
    }

    /// <summary>Lets go of all versions; the server is stopping.</summary>
    /// <returns>Versions that were loaded, now the caller's.</returns>
    public IReadOnlyList<Servable> Clear()
    {
        lock (gate)
            return [.. slot.Change(Lineup.Empty).Loaded];
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                // Taken before the look at who is there: what changes meanwhile has completed it.
                var change = Changed;
                // A timer that nobody needs wakes threads of the pool, which then look for more work for a while, on the cores that rank.
                await (IsAnyoneOnTrial ? Task.Delay(LookInterval, clock, stoppingToken) : change.WaitAsync(stoppingToken));
                Look();
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(retiring.Keys);
        }
    }

    /// <summary>Looks at how the new version does: ends a canary's trial, rolls back a version that fails.</summary>
    internal void Look()
    {
        string? fault = null;
        lock (gate)
        {
            var now = slot.Lineup;
            if (now.Candidate is { } candidate)
                Judge(candidate);
            else if (IsOnProbation(now))
                fault = Fault(now.Current!) ?? FidelityFault(now.Current!, now.Previous!);
        }
        if (fault is not null)
            TryRollback(fault, automatic: true, out _);
    }

    private bool IsAnyoneOnTrial
    {
        get
        {
            lock (gate)
                return slot.Lineup.Candidate is not null || IsOnProbation(slot.Lineup);
        }
    }

    // Under the gate: there is a version to go back to, and the one in service has just come.
    private bool IsOnProbation(Lineup lineup) =>
        lineup is { Current: not null, Previous: not null } && state.Pinned == 0 && isCurrentNew && clock.GetElapsedTime(putAt) <= policy.Probation;

    private void Judge(Servable candidate)
    {
        if (Fault(candidate) is { } fault)
            DropTrial(fault);
        else if (trial is { Time: { } time } && clock.GetElapsedTime(trial.StartedAt) >= time)
        {
            if (policy.MaxChurn is { } cap && shadow.Report is { Requests: > 0 } report && report.MeanChurn > cap)
                DropTrial($"rank churn {report.MeanChurn:F3} on {report.Requests} requests scored in shadow is above the cap {cap}");
            else
                Put(candidate, trial.Entry, keepWarm: slot.Current);
        }
    }

    private string? Fault(Servable servable)
    {
        var (failed, answered) = (servable.Health.Failed, servable.Health.Answered);
        return failed > policy.MaxFailureShare * (answered + failed)
            ? $"{failed} of {answered + failed} requests failed that another version could answer" : null;
    }

    private string? FidelityFault(Servable current, Servable previous) =>
        policy.MaxFidelityDrop is { } drop && current.Health.Fidelity is { } now && previous.Health.Fidelity is { } before && before - now > drop
            ? $"overlap@10 with the teacher fell from {before:F3} to {now:F3}" : null;

    private void BeginTrial(Servable next, CanaryWish how, long entry)
    {
        trial = new(entry, clock.GetTimestamp(), how.Time > TimeSpan.Zero ? how.Time : null);
        shadow.Reset();
        Exchange(slot.Lineup with { Candidate = next, CandidateShare = how.Share, ShadowShare = how.ShadowShare }, entry);
        log.CanaryBegan(next.Version, how.Share, slot.Current?.Version ?? 0);
    }

    private void DropTrial(string reason)
    {
        var (candidate, entry) = (slot.Lineup.Candidate!, trial!.Entry);
        state = state with { Rejected = new Dictionary<long, string>(state.Rejected) { [candidate.Version] = reason } };
        wish = null;
        trial = null;
        commands++;
        ledger.Update(entry, e => e with { Error = reason });
        Exchange(slot.Lineup with { Candidate = null, CandidateShare = 0, ShadowShare = 0 }, entry);
        log.CanaryDropped(candidate.Version, reason);
    }

    private void Put(Servable next, long entry, Servable? keepWarm)
    {
        var isForward = keepWarm is not null && next.Version > keepWarm.Version;
        if (isForward && isCurrentNew)
            rollbacksInARow = 0;
        isCurrentNew = isForward;
        putAt = clock.GetTimestamp();
        wish = null;
        trial = null;
        state = state with { Served = new(next.Version, next.Manifest.CreatedAtMs) };
        var started = Stopwatch.GetTimestamp();
        Exchange(new(next, keepWarm), entry, isSwap: true);
        var swapMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { SwapMs = swapMs });
        log.Swapped(next.Version, model, keepWarm?.Version ?? 0, next.Manifest.RecordsLearned);
    }

    private void Exchange(Lineup next, long entry, bool isSwap = false)
    {
        var before = slot.Change(next);
        var nowMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        if (isSwap)
            ledger.Update(entry, e => e with { SwappedMs = nowMs });
        Servable[] left = [.. before.Loaded.Except(next.Loaded)];
        Track(RetireAsync(isSwap && before.Current != next.Current ? before.Current : null, left, entry));
        Signal();
    }

    // Beside all else: a request that holds on to its lease must not hold back the next version.
    private async Task RetireAsync(Servable? replaced, Servable[] left, long entry)
    {
        var started = Stopwatch.GetTimestamp();
        var retired = left.Select(s => s.RetireAsync()).ToList();
        // The version replaced stays warm: it is drained when the requests that were on it have been answered.
        while (replaced?.Leases.Leases > 0 && Stopwatch.GetElapsedTime(started) < DrainPatience)
            await Task.Delay(1);
        await Task.WhenAll(retired);
        var drainMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { DrainedMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), DrainMs = drainMs });
        await thread.RunAsync(() =>
        {
            foreach (var servable in left)
                servable.Dispose();
            return true;
        });
        var residentMb = SwapEntry.ResidentMb();
        ledger.Update(entry, e => e with { DisposedMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), RssAfterMb = residentMb });
    }

    private void Track(Task task)
    {
        retiring[task] = true;
        _ = task.ContinueWith(t => retiring.TryRemove(t, out _), TaskScheduler.Default);
    }

    // What a swap leaves behind for the next start; the swap itself stands whatever the disk says.
    private void SaveOrSay()
    {
        try
        {
            Save();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.StateNotSaved(e.Message);
        }
    }

    private void Save()
    {
        lock (file)
            file.Save(State);
    }

    private void Signal() => Interlocked.Exchange(ref changed, NewSignal()).SetResult();

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    // How a canary does, until it is judged. Time: null, a person decides.
    private sealed record Trial(long Entry, long StartedAt, TimeSpan? Time);
}

/// <summary>A canary to be.</summary>
/// <param name="Time">After which it is put into service when nothing is wrong; zero: it stays a canary.</param>
public sealed record CanaryWish(long Version, double Share, double ShadowShare, TimeSpan Time);
