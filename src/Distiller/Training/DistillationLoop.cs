using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>The streaming Distiller: read a batch, sort it out, score it, learn it; now and then a version and a checkpoint.</summary>
/// <remarks>
/// One thread trains; versions and checkpoints are written beside it from forks. The position moves once a batch is learned, so a
/// checkpoint always holds the effect of exactly the entries before its position: after a crash the rest is read again, and
/// nothing is lost or learned twice. A faulty entry that was dead-lettered after the last checkpoint is dead-lettered again.
/// </remarks>
public sealed class DistillationLoop : IDisposable
{
    private readonly FeatureSchema schema;
    private readonly DistillerConfig config;
    private readonly DistillerOptions options;
    private readonly LogitStreamReader reader;
    private readonly VersionAnnouncements announcements;
    private readonly ModelOwner owner;
    private readonly Cohort cohort;
    private readonly GateSet gateSet;
    private readonly PublishedWeights weights;
    private readonly VersionWriter writer;
    private readonly ModelRepository repository;
    private readonly Checkpointing checkpointing;
    private readonly StreamProgress progress = new();
    private readonly Backlog backlog;
    private readonly LoopMeter meter = new();
    private Checkpointing.Saved acknowledged = new(StreamId.Zero, new());
    private Task<(StreamId Id, long Version)?>? servedQuery;
    private long learnedAtRefresh;
    private long versionsPublished;
    private long heldByGate;

    /// <exception cref="ContractException">The configuration breaks a rule; names the field.</exception>
    public DistillationLoop(FeatureSchema schema, StudentConfig studentConfig, DistillerConfig config, DistillerOptions options, IDatabase redis)
    {
        this.schema = schema;
        this.config = config;
        this.options = options;
        var model = config.Model!;
        reader = new(redis, model, schema);
        announcements = new(redis, model);
        owner = new(redis, model);
        backlog = new(reader);
        cohort = new(schema, studentConfig, config);
        gateSet = new(config.Gate.Window);
        repository = new(options.RepositoryFolder);
        writer = new(repository, model, config.Refresh);
        weights = new(Path.Combine(options.StateFolder, "published"), repository, model, schema, studentConfig);
        checkpointing = new(new(Path.Combine(options.StateFolder, "checkpoints"), config.Checkpoint.Keep), schema, model, reader.StreamKey);
    }

    /// <summary>Runs until <paramref name="stop"/>, or until the stream has been silent for long enough.</summary>
    /// <exception cref="ContractException">The state folder belongs to another model, schema or student.</exception>
    /// <exception cref="OwnershipLostException">Another Distiller trains the model.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        WriteStatus("waiting");
        var stream = new LogitStream(reader, options.Redis);
        await owner.TakeAsync(stream, stop);
        Restore();
        stream.Position = progress.Position;
        var publisher = new VersionPublisher(schema, config.Model!, config.Gate, repository, writer, announcements, weights, stream);
        var examinedBefore = progress.Counters.Examined;
        await stream.InsistAsync(() => backlog.StartAsync(progress.Position), stop);
        DistillerLog.Info($"reading {reader.StreamKey} after {progress.Position}; {backlog.Records} entries wait");

        while (!stop.IsCancellationRequested)
        {
            var entries = await stream.NextAsync(config.BatchRecords, TimeSpan.FromSeconds(config.IdleSeconds), stop);
            if (entries.Count > 0)
            {
                meter.BeginWork();
                await ExamineAsync(entries, stream, stop);
                cohort.ScoreAndLearn();
                meter.Note(cohort.Student.Loss);
                progress.Position = entries[^1].Id;
                meter.EndWork(entries.Count);
            }
            owner.Renew();
            backlog.Update(progress.Counters.Examined - examinedBefore);
            UpdateLive();
            await FinishBackgroundWorkAsync(publisher);
            if (!publisher.IsBusy && config.Refresh.IsDue(meter.SecondsSinceRefresh, progress.Counters.Learned - learnedAtRefresh))
                BeginRefresh(publisher, stop);
            if (!checkpointing.IsBusy && meter.SecondsSinceCheckpoint >= config.Checkpoint.EverySeconds)
                BeginCheckpoint();
            if (meter.IsStatusDue)
                WriteStatus(stream.IsAway || meter.RecordsPerSecond == 0 ? "waiting" : "training");
            if (stream.Idle.TotalSeconds >= options.UntilIdleSeconds && !stream.IsAway)
                break;
        }
        await StopAsync(publisher);
    }

    public void Dispose() => cohort.Dispose();

    // Every entry becomes one of: dead letter, repeat, gate set, or part of the batch.
    private async Task ExamineAsync(IReadOnlyList<LogitStreamEntry> entries, LogitStream stream, CancellationToken stop)
    {
        cohort.Clear();
        var counters = progress.Counters;
        if (counters.Examined == 0)
            counters = counters with { FirstEntryMs = entries[0].Id.Ms };
        foreach (var entry in entries)
        {
            counters = counters with { Examined = counters.Examined + 1 };
            if (entry.Record is not { } record)
            {
                await stream.InsistAsync(() => reader.DeadLetterAsync(entry), stop);
                counters = counters with { DeadLettered = counters.DeadLettered + 1 };
                DistillerLog.WarnSometimes($"dead {entry.Fault?.Field}", $"entry {entry.Id} is not learned, moved to the dead-letter stream: {entry.Fault?.Message}");
                continue;
            }
            if (progress.Sequences.Observe(record) == SequenceVerdict.Repeat)
                continue;
            counters = counters with { Consumed = counters.Consumed + 1 };
            progress.Observe(record);
            if (GateSet.IsHeldOut(record.RequestId))
            {
                gateSet.Add(record);
                counters = counters with { HeldOut = counters.HeldOut + 1 };
                continue;
            }
            cohort.Add(record);
        }
        progress.Counters = counters;
    }

    private void BeginRefresh(VersionPublisher publisher, CancellationToken stop)
    {
        var recent = cohort.Records.Count > 0 ? cohort.Records : [.. gateSet.Records];
        if (recent.Count == 0)
            return;
        learnedAtRefresh = progress.Counters.Learned;
        meter.BeginRefresh();
        var metrics = cohort.Evaluation.Snapshot().Scorers.GetValueOrDefault("student_latest");
        var named = new Dictionary<string, double>();
        foreach (var (name, value) in (ReadOnlySpan<(string, double?)>)[("gauc", metrics?.Gauc), ("auc", metrics?.Auc), ("logloss", metrics?.Logloss)])
        {
            if (value is { } v && double.IsFinite(v))
                named[name] = v;
        }
        publisher.Begin(cohort.Student, recent, [.. gateSet.Records], new(new Dictionary<string, string> { [reader.StreamKey] = progress.Position.ToString() },
            progress.WatermarkMs, progress.TeacherVersions.ToDictionary(), progress.Counters.Learned, named), cohort.Published, stop);
    }

    private void BeginCheckpoint()
    {
        meter.BeginCheckpoint();
        checkpointing.Begin(cohort.Student, cohort.LabelsOnly, progress, cohort.Evaluation, gateSet, cohort.Published.Frozen?.Version ?? 0);
    }

    // What the background threads finished takes effect here, between two steps.
    private async Task FinishBackgroundWorkAsync(VersionPublisher publisher)
    {
        if (publisher.TakeOutcome() is { } outcome)
        {
            heldByGate += outcome.Held ? 1 : 0;
            if (outcome.Published is { } version)
            {
                versionsPublished++;
                cohort.Published.Add(version);
            }
        }
        if (!publisher.IsBusy)
            cohort.Published.Prune();
        if (checkpointing.TakeSaved() is { } saved)
        {
            acknowledged = saved;
            try
            {
                await reader.TrimAsync(saved.Position);
            }
            catch (Exception e) when (LogitStreamWriter.IsTransient(e))
            {
                // The next checkpoint trims as much and more.
            }
        }
    }

    private void UpdateLive()
    {
        if (servedQuery is { IsCompleted: true })
        {
            if (servedQuery.IsCompletedSuccessfully)
                cohort.Published.SetLive(servedQuery.Result?.Version);
            servedQuery = null;
        }
        if (servedQuery is null && meter.IsLiveDue)
            servedQuery = announcements.NewestServedAsync();
        if (cohort.Published.Frozen is null && progress.StreamSeconds >= options.FrozenAfterSeconds && cohort.Published.Freeze())
            DistillerLog.Info($"version {cohort.Published.Frozen!.Version} is frozen for comparison");
    }

    private void Restore()
    {
        if (checkpointing.Restore(cohort.Student, cohort.LabelsOnly, progress, cohort.Evaluation, gateSet) is not { } manifest)
        {
            DistillerLog.Info($"no checkpoint in {options.StateFolder}: model '{config.Model}' begins, {cohort.Student.ParameterCount:N0} parameters");
            return;
        }
        acknowledged = new(progress.Position, progress.Counters);
        learnedAtRefresh = progress.Counters.Learned;
        if (repository.Versions(config.Model!) is { Count: > 0 } versions && weights.Load(versions[^1], DistillerLog.Warn) is { } newest)
            cohort.Published.Add(newest);
        if (manifest.FrozenVersion > 0 && cohort.Published.Newest?.Version == manifest.FrozenVersion)
            cohort.Published.RestoreFrozen(cohort.Published.Newest);
        else if (manifest.FrozenVersion > 0 && weights.Load(manifest.FrozenVersion, DistillerLog.Warn) is { } frozen)
            cohort.Published.RestoreFrozen(frozen);
        DistillerLog.Info($"continuing from the checkpoint at {progress.Position}: {progress.Counters.Learned} records learned");
    }

    private async Task StopAsync(VersionPublisher publisher)
    {
        await publisher.FinishAsync();
        await FinishBackgroundWorkAsync(publisher);
        if (progress.Counters.Learned > learnedAtRefresh)
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
            BeginRefresh(publisher, limit.Token);
            await publisher.FinishAsync();
        }
        await checkpointing.FinishAsync();
        await FinishBackgroundWorkAsync(publisher);
        BeginCheckpoint();
        await checkpointing.FinishAsync();
        await FinishBackgroundWorkAsync(publisher);
        await owner.GiveBackAsync();
        WriteStatus("stopped");
        DistillerLog.Info($"stopped at {progress.Position}: {progress.Counters.Consumed} records consumed, {versionsPublished} versions published");
    }

    private void WriteStatus(string phase)
    {
        meter.BeginStatus();
        if (options.StatusFile is null)
            return;
        var evaluated = cohort.Evaluation.Snapshot();
        new DistillerStatus
        {
            UpdatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Phase = phase,
            Consumed = progress.Counters.Consumed,
            HeldOut = progress.Counters.HeldOut,
            DeadLettered = progress.Counters.DeadLettered,
            Acked = acknowledged.Counters.Consumed + acknowledged.Counters.DeadLettered,
            Missing = progress.Sequences.Missing,
            Repeats = progress.Sequences.Repeats,
            LagRecords = backlog.Records,
            MaxLagRecords = backlog.RecordsMax,
            TrainingLoss = meter.Loss,
            RecordsPerSecond = meter.RecordsPerSecond,
            RecordsPerBusySecond = meter.RecordsPerBusySecond,
            VersionsPublished = versionsPublished,
            HeldByGate = heldByGate,
            NewestVersion = cohort.Published.Newest?.Version,
            LiveVersion = cohort.Published.Live?.Version,
            WatermarkMs = progress.WatermarkMs,
            Position = new Dictionary<string, string> { [reader.StreamKey] = progress.Position.ToString() },
            Parameters = cohort.Student.ParameterCount,
            RssMb = Environment.WorkingSet / 1e6,
            PhaseSeconds = meter.Phases(cohort.Student.Phases, cohort.LabelsOnly?.Phases),
            Scorers = evaluated.Scorers,
            GaucDifference95 = evaluated.GaucDifference95,
            TransferRatio = evaluated.TransferRatio,
        }.Write(options.StatusFile);
    }
}
