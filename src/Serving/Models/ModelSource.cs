using System.Collections.Concurrent;
using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Readiness;
using KdServing.Serving.Status;

namespace KdServing.Serving.Models;

/// <summary>Notices versions, has them loaded, warmed up and compared, and hands them to the <see cref="Rollout"/>.</summary>
/// <remarks>
/// News come from the announcements in Redis; the repository's folder is the truth and is looked at from time to time anyway, so
/// that Redis may be away. A version that was refused is not tried again (a passing fault is, a little later). Runs until stopped.
/// </remarks>
public sealed class ModelSource : BackgroundService
{
    // With Redis at hand the folder is looked at for what an announcement may have missed.
    private const int TicksBetweenLooks = 10;
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(5);

    private readonly string model;
    private readonly VersionShelf shelf;
    private readonly ServableLoader loader;
    private readonly NicedThread thread;
    private readonly ServableSlot slot;
    private readonly Rollout rollout;
    private readonly RolloutPolicy policy;
    private readonly SwapLedger ledger;
    private readonly AnnouncementFeed? announcements;
    private readonly CatalogFeed? catalog;
    private readonly Rehearsal? rehearsal;
    private readonly TimeSpan interval;
    private readonly ILogger<ModelSource> log;
    private readonly ConcurrentDictionary<long, long> retryAt = [];
    private string? lastFault;
    private long told;
    private int seenCommands;

    /// <param name="announcements">Null: the folder is all there is.</param>
    /// <param name="catalog">Gives each version its item vectors before it serves; null: no item catalog.</param>
    /// <param name="rehearsal">Warms the process up with the first version before that serves; null: its first clients do.</param>
    /// <param name="interval">Time between two looks for a new version.</param>
    internal ModelSource(string model, VersionShelf shelf, ServableLoader loader, NicedThread thread, ServableSlot slot, Rollout rollout,
        RolloutPolicy policy, SwapLedger ledger, AnnouncementFeed? announcements, CatalogFeed? catalog, Rehearsal? rehearsal, TimeSpan interval, ILogger<ModelSource> log)
    {
        this.model = model;
        this.shelf = shelf;
        this.loader = loader;
        this.thread = thread;
        this.slot = slot;
        this.rollout = rollout;
        this.policy = policy;
        this.ledger = ledger;
        this.announcements = announcements;
        this.catalog = catalog;
        this.rehearsal = rehearsal;
        this.interval = interval;
        this.log = log;
    }

    /// <summary>Versions that are not served, and why.</summary>
    public ConcurrentDictionary<long, string> Refused { get; } = [];

    /// <summary>Whether Redis answered last; null when the server runs without it.</summary>
    public bool? RedisConnected => announcements?.IsConnected;

    /// <summary>Forgets that a version was refused: a person wants it tried again.</summary>
    public void Forgive(long version)
    {
        Refused.TryRemove(version, out _);
        retryAt.TryRemove(version, out _);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Leave the caller's thread: the server starts to listen while the first version loads.
        await Task.Yield();
        try
        {
            for (var tick = 0; ; tick++)
            {
                var changed = rollout.Changed;
                var commands = rollout.Commands;
                var news = announcements is not null && await announcements.HasNewsAsync();
                if (news || commands != seenCommands || announcements is not { IsConnected: true } || tick % TicksBetweenLooks == 0)
                    await TakeNewestAsync(stoppingToken);
                seenCommands = commands;
                await TellServedAsync();
                await Task.WhenAny(Task.Delay(interval, stoppingToken), changed);
                stoppingToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private async Task TakeNewestAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested && NextVersion() is { } version)
        {
            if (rollout.TryServeLoaded(version) || await TryServeAsync(version, stopping))
                return;
        }
    }

    // A rollback changes what is served without any load: whatever is in service is told.
    private async Task TellServedAsync()
    {
        if (announcements is null || slot.Current?.Version is not { } version || version == told)
            return;
        told = version;
        await announcements.TellServedAsync(version);
    }

    private long? NextVersion()
    {
        try
        {
            var now = slot.Lineup;
            if (rollout.Wish is { } wish && now.Candidate?.Version != wish.Version)
                return IsRefused(wish.Version) ? null : wish.Version;
            var state = rollout.State;
            // One at a time: while a canary is on trial no other version is taken, unless a person wants it.
            if (now.Candidate is not null && state.Pinned == 0)
                return null;
            var wanted = shelf.Wanted();
            var pinned = state.Pinned != 0 ? state.Pinned : wanted.Pinned;
            var next = AspiredVersion.Next(shelf.Versions(), now.Current?.Version ?? 0, pinned, state.Held || wanted.Held, IsRefused);
            if (next is { } version && pinned != 0 && version != pinned)
                log.PinNotMet(pinned, version);
            return next;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Looked at ten times a second: said once.
            if (e.Message != lastFault)
                log.RepositoryUnreadable(e.Message);
            lastFault = e.Message;
            return null;
        }
    }

    private bool IsRefused(long version) => rollout.State.Rejected.ContainsKey(version)
        || (Refused.ContainsKey(version) && (!retryAt.TryGetValue(version, out var time) || Environment.TickCount64 < time));

    private async Task<bool> TryServeAsync(long version, CancellationToken stopping)
    {
        var (current, commands) = (slot.Current, rollout.Commands);
        var entry = ledger.Begin(new()
        {
            Version = version,
            From = current?.Version,
            LoadStartedMs = NowMs(),
            RssBeforeMb = SwapEntry.ResidentMb(),
        });
        Servable next;
        try
        {
            next = await thread.RunAsync(() => Prepare(version, current, entry));
            await MakeReadyAsync(next, isFirst: current is null, entry, stopping);
        }
        catch (VersionRefusedException e)
        {
            Refuse(e, entry);
            return false;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // A fault of ours, not of the version's: the old version serves on, and the trace goes to the log.
            log.LoadFailed(e, version);
            Refuse(new(version, $"{e.GetType().Name} while loading", isFinal: false, e), entry);
            return false;
        }
        if (!rollout.TryAdmit(next, commands, entry))
        {
            // A pin, a hold or a rollback came while it was loaded: what is wanted is looked at again.
            ledger.Update(entry, e => e with { Error = "not taken: a command came while it was loaded" });
            // The catalog's thread may just be encoding with it.
            await next.RetireAsync();
            await thread.RunAsync(() => Free(next));
            return false;
        }
        Forgive(version);
        var relied = slot.Lineup.Loaded.Select(s => s.Version).Append(rollout.State.Pinned).Where(v => v != 0).ToList();
        await thread.RunAsync(() => Keep(relied));
        return true;
    }

    private Servable Prepare(long version, Servable? current, long entry)
    {
        var started = Stopwatch.GetTimestamp();
        var servable = loader.Load(model, version, current, shelf.Provide(version));
        if (servable.EngineRefusal is { } reason)
            log.EngineRefused(version, servable.Engine, reason);
        var loadMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e.AtPeak() with { LoadedMs = NowMs(), LoadMs = loadMs });
        try
        {
            RequireNoReplay(servable.Manifest);
            started = Stopwatch.GetTimestamp();
            loader.WarmUp(servable);
            var warmMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            ledger.Update(entry, e => e.AtPeak() with { WarmedMs = NowMs(), WarmMs = warmMs });
            if (current is not null)
                RequireLikeness(current, servable, entry);
            return servable;
        }
        catch
        {
            servable.Dispose();
            throw;
        }
    }

    private async Task MakeReadyAsync(Servable next, bool isFirst, long entry, CancellationToken stopping)
    {
        try
        {
            if (catalog is not null)
                await GiveVectorsAsync(catalog, next, entry, stopping);
            if (isFirst && rehearsal is not null)
                await rehearsal.RunAsync(next, stopping);
        }
        catch
        {
            // The catalog's thread may just be encoding with it.
            await next.RetireAsync();
            next.Dispose();
            throw;
        }
    }

    private async Task GiveVectorsAsync(CatalogFeed items, Servable next, long entry, CancellationToken stopping)
    {
        var started = Stopwatch.GetTimestamp();
        await items.PrepareAsync(next, stopping);
        var vectorsMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { VectorsMs = vectorsMs });
    }

    // Signed manifests stay valid for ever: without this, whoever can write to the repository could bring back an old version.
    private void RequireNoReplay(VersionManifest manifest)
    {
        if (shelf.IsSigned && rollout.State is { Served: { } served } state && state.Pinned != manifest.Version
            && manifest.Version < served.Version && manifest.CreatedAtMs < served.CreatedAtMs)
        {
            throw new VersionRefusedException(manifest.Version, $"is older than version {served.Version}, which this server has had in service; pin it to go back on purpose", isFinal: true, null);
        }
    }

    private void RequireLikeness(Servable current, Servable next, long entry)
    {
        if (!current.Leases.TryAcquire())
            return;
        using var lease = new ServableHandle(current);
        var started = Stopwatch.GetTimestamp();
        var churn = loader.Compare(current, next);
        var checkMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e.AtPeak() with { CheckMs = checkMs, Churn = churn.Requests == 0 ? null : Math.Round(churn.Mean, 4), ChurnRequests = churn.Requests });
        var isWanted = rollout.State.Pinned == next.Version || rollout.Wish?.Version == next.Version;
        if (policy.MaxChurn is { } cap && churn.Requests > 0 && churn.Mean > cap && !isWanted)
        {
            throw new VersionRefusedException(next.Version,
                FormattableString.Invariant($"held back: rank churn {churn.Mean:F3} against version {current.Version} on {churn.Requests} recent requests is above the cap {cap}; pin it to serve it nevertheless"),
                isFinal: true, null);
        }
    }

    private bool Keep(List<long> relied)
    {
        shelf.Keep(relied);
        return true;
    }

    private static bool Free(Servable servable)
    {
        servable.Dispose();
        return true;
    }

    private void Refuse(VersionRefusedException refusal, long entry)
    {
        if (refusal.IsFinal)
            retryAt.TryRemove(refusal.Version, out _);
        else
            retryAt[refusal.Version] = Environment.TickCount64 + (long)RetryInterval.TotalMilliseconds;
        var residentMb = SwapEntry.ResidentMb();
        ledger.Update(entry, e => e with { Error = refusal.Message, RssAfterMb = residentMb });
        log.VersionRefused(refusal.Version, refusal.Message,
            slot.Current is { } current ? $"version {current.Version} stays in service" : "none is in service yet");
        Refused[refusal.Version] = refusal.Message;
        rollout.Refused(refusal.Version);
    }

    private static long NowMs() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
}
