using System.Collections.Concurrent;
using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Status;

namespace KdServing.Serving.Models;

/// <summary>Keeps the newest good version in service: notices it, has it loaded and warmed up, swaps it in, retires the one before.</summary>
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
    private readonly ModelRepository repository;
    private readonly ServableLoader loader;
    private readonly NicedThread thread;
    private readonly ServableSlot slot;
    private readonly SwapLedger ledger;
    private readonly AnnouncementFeed? announcements;
    private readonly CatalogFeed? catalog;
    private readonly TimeSpan interval;
    private readonly ILogger<ModelSource> log;
    private readonly Dictionary<long, long> retryAt = [];
    private readonly ConcurrentDictionary<Task, bool> retiring = [];
    private string? lastFault;

    /// <param name="announcements">Null: the folder is all there is.</param>
    /// <param name="catalog">Gives each version its item vectors before it serves; null: no item catalog.</param>
    /// <param name="interval">Time between two looks for a new version.</param>
    public ModelSource(string model, ModelRepository repository, ServableLoader loader, NicedThread thread, ServableSlot slot,
        SwapLedger ledger, AnnouncementFeed? announcements, CatalogFeed? catalog, TimeSpan interval, ILogger<ModelSource> log)
    {
        this.model = model;
        this.repository = repository;
        this.loader = loader;
        this.thread = thread;
        this.slot = slot;
        this.ledger = ledger;
        this.announcements = announcements;
        this.catalog = catalog;
        this.interval = interval;
        this.log = log;
    }

    /// <summary>Versions that are not served, and why.</summary>
    public ConcurrentDictionary<long, string> Refused { get; } = [];

    /// <summary>Whether Redis answered last; null when the server runs without it.</summary>
    public bool? RedisConnected => announcements?.IsConnected;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Leave the caller's thread: the server starts to listen while the first version loads.
        await Task.Yield();
        using var timer = new PeriodicTimer(interval);
        try
        {
            for (var tick = 0; ; tick++)
            {
                var news = announcements is not null && await announcements.HasNewsAsync();
                if (news || announcements is not { IsConnected: true } || tick % TicksBetweenLooks == 0)
                    await TakeNewestAsync(stoppingToken);
                await timer.WaitForNextTickAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(retiring.Keys);
        }
    }

    private async Task TakeNewestAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested && NextVersion() is { } version)
        {
            if (await TryServeAsync(version, stopping))
                return;
        }
    }

    private long? NextVersion()
    {
        try
        {
            return AspiredVersion.Next(repository.Versions(model), slot.Current?.Version ?? 0, IsRefused);
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

    private bool IsRefused(long version) =>
        Refused.ContainsKey(version) && (!retryAt.TryGetValue(version, out var time) || Environment.TickCount64 < time);

    private async Task<bool> TryServeAsync(long version, CancellationToken stopping)
    {
        var current = slot.Current;
        var entry = ledger.Begin(new()
        {
            Version = version,
            From = current?.Version,
            LoadStartedMs = NowMs(),
            RssBeforeMb = ResidentMb(),
        });
        Servable next;
        try
        {
            next = await thread.RunAsync(() => Prepare(version, current, entry));
            await GiveVectorsAsync(next, entry, stopping);
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
        var started = Stopwatch.GetTimestamp();
        var previous = slot.Swap(next);
        var swapMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { SwappedMs = NowMs(), SwapMs = swapMs });
        Refused.TryRemove(version, out _);
        log.Swapped(version, model, previous?.Version ?? 0, next.Manifest.RecordsLearned);
        if (previous is not null)
            Track(RetireAsync(previous, entry));
        if (announcements is not null)
            await announcements.TellServedAsync(version);
        return true;
    }

    private Servable Prepare(long version, Servable? current, long entry)
    {
        var started = Stopwatch.GetTimestamp();
        var servable = loader.Load(model, version, current);
        var loadMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { LoadedMs = NowMs(), LoadMs = loadMs });
        try
        {
            started = Stopwatch.GetTimestamp();
            loader.WarmUp(servable);
            var warmMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            ledger.Update(entry, e => e with { WarmedMs = NowMs(), WarmMs = warmMs });
            return servable;
        }
        catch
        {
            servable.Dispose();
            throw;
        }
    }

    private async Task GiveVectorsAsync(Servable next, long entry, CancellationToken stopping)
    {
        if (catalog is null)
            return;
        var started = Stopwatch.GetTimestamp();
        try
        {
            await catalog.PrepareAsync(next, stopping);
            var vectorsMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
            ledger.Update(entry, e => e with { VectorsMs = vectorsMs });
        }
        catch
        {
            // The catalog's thread may just be encoding with it.
            await next.RetireAsync();
            next.Dispose();
            throw;
        }
    }

    private void Refuse(VersionRefusedException refusal, long entry)
    {
        if (refusal.IsFinal)
            retryAt.Remove(refusal.Version);
        else
            retryAt[refusal.Version] = Environment.TickCount64 + (long)RetryInterval.TotalMilliseconds;
        ledger.Update(entry, e => e with { Error = refusal.Message, RssAfterMb = ResidentMb() });
        log.VersionRefused(refusal.Version, refusal.Message,
            slot.Current is { } current ? $"version {current.Version} stays in service" : "none is in service yet");
        Refused[refusal.Version] = refusal.Message;
    }

    // Beside the loop: a request that holds on to its lease must not hold back the next version.
    private async Task RetireAsync(Servable previous, long entry)
    {
        var started = Stopwatch.GetTimestamp();
        await previous.RetireAsync();
        var drainMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        ledger.Update(entry, e => e with { DrainedMs = NowMs(), DrainMs = drainMs });
        await thread.RunAsync(() =>
        {
            previous.Dispose();
            return true;
        });
        ledger.Update(entry, e => e with { DisposedMs = NowMs(), RssAfterMb = ResidentMb() });
    }

    private void Track(Task task)
    {
        retiring[task] = true;
        _ = task.ContinueWith(t => retiring.TryRemove(t, out _), TaskScheduler.Default);
    }

    private static long NowMs() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();

    private static double ResidentMb() => Math.Round(Environment.WorkingSet / 1048576.0, 1);
}
