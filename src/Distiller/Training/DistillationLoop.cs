using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Students;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>The streaming Distiller: cut a batch, journal it, learn it; now and then a version and a checkpoint.</summary>
/// <remarks>
/// One thread trains; versions and checkpoints are written beside it from forks. Whatever changes the state is a decision that stands in
/// the journal before it takes effect: which entries are a batch, when a version is drafted, how that ended, which version is live.
/// The clock says only when to decide. After a crash <see cref="Recovery"/> takes the same decisions again.
/// </remarks>
public sealed class DistillationLoop : IAsyncDisposable
{
    // Versions long gone from every repository.
    private const int FidelitiesKept = 1000;

    private readonly IDatabase redis;
    private readonly StreamKeys keys;
    private readonly DistillerConfig config;
    private readonly DistillerOptions options;
    private readonly VersionAnnouncements announcements;
    private readonly ModelOwner owner;
    private readonly LogitStream stream;
    private readonly Journal journal;
    private readonly Trainer trainer;
    private readonly VersionPublisher publisher;
    private readonly Checkpointing checkpointing;
    private readonly Recovery recovery;
    private readonly Backlog backlog;
    private readonly Queue<Checkpointing.Saved> durable = new();
    private readonly LoopMeter meter = new();
    private readonly StatusReport status;
    private Task<(StreamId Id, long Version)?>? servedQuery;
    private long learnedAtRefresh;

    /// <exception cref="ContractException">The configuration breaks a rule; names the field.</exception>
    public DistillationLoop(FeatureSchema schema, StudentConfig studentConfig, DistillerConfig config, DistillerOptions options, IDatabase redis)
    {
        this.redis = redis;
        this.config = config;
        this.options = options;
        keys = new(config.Model!);
        var model = config.Model!;
        var readers = Sources(redis, schema, config);
        announcements = new(redis, model);
        owner = new(redis, model, options.Lease);
        stream = new(readers, options.Redis);
        journal = new(redis, model, owner, stream);
        backlog = new(readers);
        var refresh = config.Refresh;
        var repository = new ModelRepository(options.RepositoryFolder)
        {
            Signer = refresh.SigningKey is { } key ? VersionSigner.FromFile(key, "refresh.signing_key") : null,
            StagingMark = $"-{Guid.NewGuid():N}",
        };
        var weights = new PublishedWeights(Path.Combine(options.StateFolder, "published"), repository, model, schema, studentConfig);
        trainer = new(schema, studentConfig, config, [.. readers.Select(r => r.StreamKey)], new(repository, model, config.Refresh), options.FrozenAfterSeconds);
        publisher = new(schema, model, config.Gate, repository, weights, journal, owner, stream,
            refresh.Transfer is { } transfer ? new(redis, model, transfer.ToPolicy("refresh.transfer"), options.Clock) : null, options.Clock, options.AtStep);
        checkpointing = new(new(Path.Combine(options.StateFolder, "checkpoints"), config.Checkpoint.Keep, options.AtStep), config.Checkpoint, schema, model);
        recovery = new(trainer, checkpointing, journal, owner, stream, publisher, weights, repository, model, options.StateFolder, options.AcceptLoss);
        status = new(options.StatusFile, trainer, meter, backlog, owner, recovery);
    }

    /// <summary>The streams a configuration reads: shards of records, then labels.</summary>
    public static IReadOnlyList<LogitStreamReader> Sources(IDatabase redis, FeatureSchema schema, DistillerConfig config)
    {
        var keys = new StreamKeys(config.Model!);
        var shards = keys.LogitShards(config.Shards).Select(key => new LogitStreamReader(redis, key, schema));
        return [.. shards, .. config.Labels is null ? [] : (LogitStreamReader[])[new(redis, keys.Labels, schema, isLabels: true)]];
    }

    /// <summary>Runs until <paramref name="stop"/>, or until the streams have been silent for long enough.</summary>
    /// <exception cref="ContractException">The state folder belongs to another model, schema or student, or can not be continued.</exception>
    /// <exception cref="OwnershipLostException">Another Distiller trains the model.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        status.Write("waiting");
        await owner.TakeAsync(stream, recovery.NewestEpoch, stop);
        await owner.KeepAsync(recovery.RunAsync, stop);
        var progress = trainer.Progress;
        status.Acknowledged = progress.Counters;
        learnedAtRefresh = progress.Counters.Learned;
        stream.StartAfter(progress.Position);
        var examinedBefore = progress.Counters.Examined;
        await stream.InsistAsync(() => backlog.StartAsync(progress.Examined), stop);
        DistillerLog.Info($"reading {string.Join(", ", stream.Sources.Select(s => $"{s.StreamKey} after {progress.Position(s.StreamKey)}"))} in epoch {owner.Epoch}; {backlog.Records} entries wait");

        while (!stop.IsCancellationRequested)
        {
            var entries = await stream.NextAsync(config.BatchRecords, TimeSpan.FromSeconds(config.IdleSeconds), stop);
            if (entries.Count > 0)
            {
                meter.BeginWork();
                await LearnAsync(entries, stop);
                meter.EndWork(entries.Count);
            }
            owner.Renew();
            backlog.Update(progress.Counters.Examined - examinedBefore);
            await FinishDraftAsync(stop);
            await UpdateLiveAsync(stop);
            await FinishCheckpointAsync();
            if (!checkpointing.IsBusy && !publisher.IsBusy && meter.SecondsSinceCheckpoint >= config.Checkpoint.EverySeconds)
                BeginCheckpoint(whole: false);
            if (!publisher.IsBusy && config.Refresh.IsDue(meter.SecondsSinceRefresh, progress.Counters.Learned - learnedAtRefresh))
                await BeginDraftAsync(stop);
            if (meter.IsStatusDue)
            {
                status.Write(stream.IsAway || meter.RecordsPerSecond == 0 ? "waiting" : "training");
                TellFidelity();
            }
            if (stream.Idle.TotalSeconds >= options.UntilIdleSeconds && !stream.IsAway)
                break;
        }
        await StopAsync();
    }

    /// <summary>Waits for the version and the checkpoint that a loop ended by an exception has left in the making: they read the tables that are freed then, and write into its folders.</summary>
    public async ValueTask DisposeAsync()
    {
        await publisher.DisposeAsync();
        await checkpointing.FinishAsync().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        trainer.Dispose();
    }

    private async Task LearnAsync(IReadOnlyList<SourcedEntry> entries, CancellationToken stop)
    {
        options.AtStep?.Invoke("cut");
        var progress = trainer.Progress;
        var sources = new SortedDictionary<string, StreamRange>(StringComparer.Ordinal);
        foreach (var group in entries.GroupBy(e => e.Source))
        {
            var key = stream.Sources[group.Key].StreamKey;
            sources[key] = new(progress.Position(key).ToString(), group.Last().Entry.Id.ToString(), group.Count());
        }
        var dead = entries.Where(e => e.Entry.Fault is not null).Select(e => ((RedisKey)stream.Sources[e.Source].StreamKey, e.Entry)).ToList();
        await DecideAsync(new() { Epoch = owner.Epoch, Life = journal.Life, Batch = new(progress.Batches + 1, sources) }, stop, entries, dead);
        foreach (var (_, entry) in dead)
            DistillerLog.WarnSometimes($"dead {entry.Fault?.Field}", $"entry {entry.Id} is not learned, moved to the dead-letter stream: {entry.Fault?.Message}");
        trainer.Learn(entries);
        meter.Note(trainer.Cohort.Student.Loss);
        options.AtStep?.Invoke("learned");
    }

    // A decision takes effect when the journal has it.
    private async Task DecideAsync(JournalEntry entry, CancellationToken stop, IReadOnlyList<SourcedEntry>? entries = null,
        IReadOnlyList<(RedisKey Stream, LogitStreamEntry Entry)>? dead = null)
    {
        await journal.AppendAsync(entry, dead ?? [], stop);
        trainer.History.Add(journal.Sequence, entry, entries ?? []);
        options.AtStep?.Invoke("journaled");
    }

    private async Task BeginDraftAsync(CancellationToken stop)
    {
        if (trainer.Recent.Count == 0)
            return;
        learnedAtRefresh = trainer.Progress.Counters.Learned;
        meter.BeginRefresh();
        var plan = trainer.Writer.Plan(options.Clock.GetUtcNow().ToUnixTimeMilliseconds(), owner.Epoch,
            new(journal.Life, trainer.Progress.Batches, journal.Sequence + 1, trainer.Configuration));
        await DecideAsync(new() { Epoch = owner.Epoch, Life = journal.Life, Draft = plan }, stop);
        publisher.Begin(trainer, plan, known: null, stop);
    }

    // What the background thread finished takes effect here, between two steps.
    private async Task FinishDraftAsync(CancellationToken stop)
    {
        if (publisher.TakeResult() is not { } result)
            return;
        options.AtStep?.Invoke("outcome");
        await DecideAsync(new() { Epoch = owner.Epoch, Life = journal.Life, Outcome = result.Outcome }, stop);
        status.Note(result.Outcome.End);
        if (result.Published is { } version)
            trainer.Cohort.Published.Add(version);
        trainer.Cohort.Published.Prune();
    }

    private async Task UpdateLiveAsync(CancellationToken stop)
    {
        var published = trainer.Cohort.Published;
        if (servedQuery is { IsCompleted: true })
        {
            var live = servedQuery.IsCompletedSuccessfully ? servedQuery.Result?.Version ?? published.Newest?.Version : null;
            servedQuery = null;
            if (live is { } version && version != published.Live?.Version && published.Knows(version))
            {
                await DecideAsync(new() { Epoch = owner.Epoch, Life = journal.Life, Live = version }, stop);
                trainer.SetLive(version);
            }
        }
        if (servedQuery is null && meter.IsLiveDue)
            servedQuery = announcements.NewestServedAsync();
    }

    // For servers that watch over a version; one that is missed is told again in a second.
    private void TellFidelity()
    {
        if (stream.IsAway || status.Fidelity is not var (version, overlap))
            return;
        redis.HashSet(keys.Fidelity, version, overlap, flags: CommandFlags.FireAndForget);
        redis.HashDelete(keys.Fidelity, version - FidelitiesKept, CommandFlags.FireAndForget);
    }

    private void BeginCheckpoint(bool whole)
    {
        meter.BeginCheckpoint();
        options.AtStep?.Invoke("checkpoint");
        checkpointing.Begin(trainer, journal, owner.Epoch, whole);
    }

    private async Task FinishCheckpointAsync()
    {
        if (checkpointing.TakeSaved() is not { } saved)
            return;
        status.Acknowledge(saved);
        durable.Enqueue(saved);
        if (durable.Count <= config.Checkpoint.Spare)
            return;
        while (durable.Count > config.Checkpoint.Spare + 1)
            durable.Dequeue();
        options.AtStep?.Invoke("trim");
        try
        {
            var mark = durable.Peek();
            await journal.TrimAsync(mark.Positions, mark.JournalSequence);
        }
        catch (Exception e) when (LogitStreamWriter.IsTransient(e))
        {
            // The next checkpoint trims as much and more.
        }
    }

    private async Task StopAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await publisher.FinishAsync();
            await FinishDraftAsync(limit.Token);
            if (trainer.Progress.Counters.Learned > learnedAtRefresh)
            {
                await BeginDraftAsync(limit.Token);
                await publisher.FinishAsync();
                await FinishDraftAsync(limit.Token);
            }
        }
        catch (OperationCanceledException)
        {
            DistillerLog.Warn("stopped without a last version: Redis is away");
        }
        await checkpointing.FinishAsync();
        await FinishCheckpointAsync();
        if (!publisher.IsBusy)
        {
            BeginCheckpoint(whole: true);
            await checkpointing.FinishAsync();
            await FinishCheckpointAsync();
        }
        await owner.GiveBackAsync();
        status.Write("stopped");
        DistillerLog.Info($"stopped after {trainer.Progress.Batches} batches: {trainer.Progress.Counters.Consumed} records consumed, {status.VersionsPublished} versions published");
    }
}
