using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Serving.Models;
using StackExchange.Redis;

namespace KdServing.Serving.Catalog;

/// <summary>Keeps the catalog up to date: snapshot, bulk file, then the stream for as long as the server runs; and takes snapshots.</summary>
/// <remarks>
/// The position in the stream belongs to the snapshot: what a restart reads again changes nothing. An entry that is not valid goes to the
/// dead letters with the reason, and the feed goes on. Redis may be away: the catalog stays as it is.
/// </remarks>
public sealed class CatalogFeed : BackgroundService
{
    private const int EntriesPerRead = 32;
    private const int SnapshotBatchItems = 4096;
    private const int FaultsToldPerFile = 10;
    private static readonly TimeSpan FileLookInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RestartDelay = TimeSpan.FromSeconds(5);
    // A server without a snapshot may have a long stream before it: it ranks with what it has by then, and reads on.
    private static readonly TimeSpan CatchUpLimit = TimeSpan.FromSeconds(60);

    private readonly ItemCatalog catalog;
    private readonly CatalogOptions options;
    private readonly string model;
    private readonly ItemStream? stream;
    private readonly ILogger<CatalogFeed> log;
    private readonly CatalogSnapshot snapshots;
    private readonly TaskCompletionSource<FeatureSchema> opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource caughtUp = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private StreamId position;
    private string? fileRead;
    private bool changed;
    private bool away;
    private long entries;
    private long deadLettered;
    private long snapshotMs;

    /// <param name="stream">Null: no Redis; items come from the snapshot and the bulk file.</param>
    public CatalogFeed(string model, ItemCatalog catalog, CatalogOptions options, ItemStream? stream, ILogger<CatalogFeed> log)
    {
        this.model = model;
        this.catalog = catalog;
        this.options = options;
        this.stream = stream;
        this.log = log;
        snapshots = new(options.Folder, model);
    }

    /// <summary>Where the feed is.</summary>
    public CatalogReport Report() => new()
    {
        Figures = catalog.Figures(),
        Position = position.ToString(),
        Entries = Volatile.Read(ref entries),
        DeadLettered = Volatile.Read(ref deadLettered),
        IsCaughtUp = caughtUp.Task.IsCompleted,
        StreamConnected = stream is null ? null : !away,
        SnapshotMs = snapshotMs == 0 ? null : snapshotMs,
    };

    /// <summary>The step between loading a version and swapping it in: its item vectors. The first version also says what items' features are.</summary>
    /// <exception cref="VersionRefusedException">The version can not rank this catalog.</exception>
    public async Task PrepareAsync(Servable next, CancellationToken stopping)
    {
        if (!opened.Task.IsCompleted)
        {
            await catalog.OpenAsync(next.Schema);
            opened.TrySetResult(next.Schema);
        }
        await Task.WhenAny(caughtUp.Task, Task.Delay(CatchUpLimit, stopping));
        var started = Stopwatch.GetTimestamp();
        await catalog.PrepareAsync(next, stopping);
        var figures = catalog.Figures();
        log.VectorsReady(next.Version, figures.CoveredShare, Stopwatch.GetElapsedTime(started).TotalSeconds, figures.Left);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await Task.Yield();
        try
        {
            var schema = await opened.Task.WaitAsync(stoppingToken);
            while (true)
            {
                try
                {
                    await RestoreAsync(schema);
                    await FollowAsync(schema, stoppingToken);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    log.CatalogFeedFailed(e, RestartDelay);
                    await Task.Delay(RestartDelay, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            if (changed)
                await SnapshotAsync();
        }
    }

    private async Task RestoreAsync(FeatureSchema schema)
    {
        if (catalog.Count > 0)
            return;
        foreach (var file in snapshots.Files)
        {
            try
            {
                if (CatalogSnapshot.Read(file) is not { } snapshot)
                    continue;
                foreach (var batch in snapshot.Batches)
                {
                    ItemBatchValidation.Require(batch, schema);
                    await catalog.ApplyAsync(batch);
                }
                position = StreamId.Parse(snapshot.Header.Position);
                fileRead = snapshot.Header.ItemsFile;
                snapshotMs = snapshot.Header.CreatedAtMs;
                log.CatalogRestored(catalog.Count, DateTimeOffset.FromUnixTimeMilliseconds(snapshot.Header.CreatedAtMs), position.ToString());
                return;
            }
            catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException or FormatException
                || UntrustedMessage.IsMalformed(e))
            {
                log.SnapshotRefused(Path.GetFileName(file), e.Message);
            }
        }
    }

    private async Task FollowAsync(FeatureSchema schema, CancellationToken stopping)
    {
        await ReadFileAsync(schema);
        await TryAsync(RequireUntrimmedAsync);
        var (tick, window, look, snapshot) = (Every(TimeSpan.FromSeconds(1)), Every(RequestCounts.Window), Every(FileLookInterval), Every(options.SnapshotInterval));
        while (!stopping.IsCancellationRequested)
        {
            if (!await TakeEntriesAsync(schema))
            {
                caughtUp.TrySetResult();
                await Task.Delay(options.PollInterval, stopping);
            }
            if (tick.IsDue())
                await catalog.TickAsync(window.IsDue());
            if (look.IsDue())
                await ReadFileAsync(schema);
            if (snapshot.IsDue() && changed)
                await SnapshotAsync();
        }
    }

    // False when there is nothing new, or Redis is away.
    private async Task<bool> TakeEntriesAsync(FeatureSchema schema)
    {
        if (stream is null)
            return false;
        IReadOnlyList<ItemStreamEntry> read = [];
        if (!await TryAsync(async () => read = await stream.ReadAsync(position, EntriesPerRead, schema)))
            return false;
        foreach (var entry in read)
        {
            var fault = entry.Fault;
            try
            {
                if (entry.Batch is { } batch)
                    await catalog.ApplyAsync(batch);
            }
            catch (ContractException e)
            {
                fault = e;
            }
            if (fault is not null)
            {
                // The position stays before it until the reason is kept.
                if (!await TryAsync(() => stream.DeadLetterAsync(entry.Id, fault.Message, entry.Bytes)))
                    return false;
                log.ItemsRefused($"entry {entry.Id}", fault.Message);
                Interlocked.Increment(ref deadLettered);
            }
            position = entry.Id;
            Interlocked.Increment(ref entries);
            changed = true;
        }
        return read.Count > 0;
    }

    private async Task ReadFileAsync(FeatureSchema schema)
    {
        if (options.ItemsFile is not { } path || !File.Exists(path))
            return;
        var file = new FileInfo(path);
        var identity = $"{file.Length}@{file.LastWriteTimeUtc.Ticks}";
        if (identity == fileRead)
            return;
        var (items, refused) = (0, 0L);
        foreach (var entry in ItemFile.Read(path, schema))
        {
            var fault = entry.Fault;
            try
            {
                if (entry.Batch is { } batch)
                {
                    await catalog.ApplyAsync(batch);
                    items += batch.Put.Count;
                }
            }
            catch (ContractException e)
            {
                fault = e;
            }
            if (fault is not null && refused++ < FaultsToldPerFile)
                log.ItemsRefused($"line or message {entry.Place} of {file.Name}", fault.Message);
        }
        log.ItemsFileRead(items, file.Name, refused);
        fileRead = identity;
        changed = true;
    }

    private async Task RequireUntrimmedAsync()
    {
        if (stream is null || position == StreamId.Zero)
            return;
        var (length, first, _) = await stream.ExtentAsync();
        if (length > 0 && first > position)
            log.ItemsTrimmed(position.ToString());
    }

    private async Task SnapshotAsync()
    {
        try
        {
            var now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
            changed = false;
            // The position first: entries applied meanwhile are read again after a restart.
            var header = new SnapshotHeader(model, position.ToString(), catalog.Count, now, fileRead);
            await Task.Run(() => snapshots.Write(header, catalog.Items(SnapshotBatchItems)));
            snapshotMs = now;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            changed = true;
            log.SnapshotNotWritten(e.Message, options.SnapshotInterval);
        }
    }

    private async Task<bool> TryAsync(Func<Task> call)
    {
        try
        {
            await call();
            if (away)
                log.RedisBack("the item stream");
            away = false;
            return true;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            if (!away)
                log.RedisAway("the item stream", e is RedisConnectionException ? "no connection" : e is TimeoutException ? "no answer in time" : e.Message);
            away = true;
            return false;
        }
    }

    private static Interval Every(TimeSpan time) => new(time);

    private sealed class Interval(TimeSpan time)
    {
        private long last = Stopwatch.GetTimestamp();

        public bool IsDue()
        {
            if (Stopwatch.GetElapsedTime(last) < time)
                return false;
            last = Stopwatch.GetTimestamp();
            return true;
        }
    }
}

/// <summary>The item catalog's part of the status.</summary>
public sealed record CatalogReport
{
    public required CatalogFigures Figures { get; init; }

    /// <summary>Id of the last stream entry applied.</summary>
    public required string Position { get; init; }

    public required long Entries { get; init; }

    public required long DeadLettered { get; init; }

    /// <summary>The stream was read to its end once.</summary>
    public required bool IsCaughtUp { get; init; }

    /// <summary>Null when the server runs without Redis.</summary>
    public required bool? StreamConnected { get; init; }

    /// <summary>When the newest snapshot was taken, milliseconds since the Unix epoch; null: none yet.</summary>
    public required long? SnapshotMs { get; init; }
}
