using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Evaluation;
using KdServing.Distiller.Losses;
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
    private readonly Learner student;
    private readonly Learner? labelsOnly;
    private readonly FeatureBatch batch;
    private readonly int teacherSource;
    private readonly BatchScores scores;
    private readonly ProgressiveEvaluation evaluation;
    private readonly GateSet gateSet;
    private readonly PublishedStudents published = new();
    private readonly PublishedWeights weights;
    private readonly VersionWriter writer;
    private readonly ModelRepository repository;
    private readonly Checkpointing checkpointing;
    private readonly StreamProgress progress = new();
    private readonly Backlog backlog;
    private readonly LoopMeter meter = new();
    private readonly List<TeacherRecord> learned = [];
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
        var objective = new Objective(schema, config.HardLabel, config.Kd);
        student = new(schema, studentConfig, config.Optimizer, config.Seed, objective);
        labelsOnly = config.Evaluation.LabelsOnly && config.HardLabel.Weight > 0
            ? new(schema, studentConfig, config.Optimizer, config.Seed, new Objective(schema, config.HardLabel, []))
            : null;
        List<SoftLabelSource> sources = [.. objective.Sources];
        var teacher = new SoftLabelSource(null, schema.Targets[0]);
        if (!sources.Contains(teacher))
            sources.Add(teacher);
        teacherSource = sources.IndexOf(teacher);
        batch = new(schema, sources);
        scores = new(schema);
        evaluation = new([Scorer.Teacher, Scorer.Student, Scorer.StudentLatest, .. labelsOnly is null ? [] : (Scorer[])[Scorer.StudentLabelsOnly]],
            config.HardLabel.LogQCorrection, config.Seed);
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
                ScoreAndLearn();
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

    public void Dispose()
    {
        published.Dispose();
        labelsOnly?.Dispose();
        student.Dispose();
    }

    // Every entry becomes one of: dead letter, repeat, gate set, or part of the batch.
    private async Task ExamineAsync(IReadOnlyList<LogitStreamEntry> entries, LogitStream stream, CancellationToken stop)
    {
        batch.Clear();
        learned.Clear();
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
            batch.Add(record);
            learned.Add(record);
        }
        progress.Counters = counters;
    }

    // Each scorer sees the records before any of them is learned.
    private void ScoreAndLearn()
    {
        if (batch.Records == 0)
            return;
        scores.Clear();
        published.Live?.Score(batch, scores.Of(Scorer.Student, batch.Candidates));
        published.Frozen?.Score(batch, scores.Of(Scorer.StudentFrozen, batch.Candidates));
        student.ScoreAndLearn(batch, scores.Of(Scorer.StudentLatest, batch.Candidates));
        labelsOnly?.ScoreAndLearn(batch, scores.Of(Scorer.StudentLabelsOnly, batch.Candidates));
        meter.Note(student.Loss);
        scores.Observe(batch, batch.SoftLabels(teacherSource), evaluation);
    }

    private void BeginRefresh(VersionPublisher publisher, CancellationToken stop)
    {
        var recent = learned.Count > 0 ? learned : [.. gateSet.Records];
        if (recent.Count == 0)
            return;
        learnedAtRefresh = progress.Counters.Learned;
        meter.BeginRefresh();
        var metrics = evaluation.Snapshot().Scorers.GetValueOrDefault("student_latest");
        var named = new Dictionary<string, double>();
        foreach (var (name, value) in (ReadOnlySpan<(string, double?)>)[("gauc", metrics?.Gauc), ("auc", metrics?.Auc), ("logloss", metrics?.Logloss)])
        {
            if (value is { } v && double.IsFinite(v))
                named[name] = v;
        }
        publisher.Begin(student, recent, [.. gateSet.Records], new(new Dictionary<string, string> { [reader.StreamKey] = progress.Position.ToString() },
            progress.WatermarkMs, progress.TeacherVersions.ToDictionary(), progress.Counters.Learned, named), published, stop);
    }

    private void BeginCheckpoint()
    {
        meter.BeginCheckpoint();
        checkpointing.Begin(student, labelsOnly, progress, evaluation, gateSet, published.Frozen?.Version ?? 0);
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
                published.Add(version);
            }
        }
        if (!publisher.IsBusy)
            published.Prune();
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
                published.SetLive(servedQuery.Result?.Version);
            servedQuery = null;
        }
        if (servedQuery is null && meter.IsLiveDue)
            servedQuery = announcements.NewestServedAsync();
        if (published.Frozen is null && progress.StreamSeconds >= options.FrozenAfterSeconds && published.Freeze())
            DistillerLog.Info($"version {published.Frozen!.Version} is frozen for comparison");
    }

    private void Restore()
    {
        if (checkpointing.Restore(student, labelsOnly, progress, evaluation, gateSet) is not { } manifest)
        {
            DistillerLog.Info($"no checkpoint in {options.StateFolder}: model '{config.Model}' begins, {student.ParameterCount:N0} parameters");
            return;
        }
        acknowledged = new(progress.Position, progress.Counters);
        learnedAtRefresh = progress.Counters.Learned;
        if (repository.Versions(config.Model!) is { Count: > 0 } versions && weights.Load(versions[^1], DistillerLog.Warn) is { } newest)
            published.Add(newest);
        if (manifest.FrozenVersion > 0 && published.Newest?.Version == manifest.FrozenVersion)
            published.RestoreFrozen(published.Newest);
        else if (manifest.FrozenVersion > 0 && weights.Load(manifest.FrozenVersion, DistillerLog.Warn) is { } frozen)
            published.RestoreFrozen(frozen);
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
        var evaluated = evaluation.Snapshot();
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
            NewestVersion = published.Newest?.Version,
            LiveVersion = published.Live?.Version,
            WatermarkMs = progress.WatermarkMs,
            Position = new Dictionary<string, string> { [reader.StreamKey] = progress.Position.ToString() },
            Parameters = student.ParameterCount,
            RssMb = Environment.WorkingSet / 1e6,
            PhaseSeconds = meter.Phases(student.Phases, labelsOnly?.Phases),
            Scorers = evaluated.Scorers,
            GaucDifference95 = evaluated.GaucDifference95,
            TransferRatio = evaluated.TransferRatio,
        }.Write(options.StatusFile);
    }
}
