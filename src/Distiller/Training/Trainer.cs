using KdServing.Contracts;
using KdServing.Distiller.Calibration;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Training;

/// <summary>Everything that training changes and a checkpoint holds, and the steps that change it. One thread.</summary>
/// <remarks>
/// A pure machine: no clock, no Redis, no randomness of its own. The same steps on the same entries give the same state bit for
/// bit, whether they happen (<see cref="DistillationLoop"/>) or happen again after a crash (<see cref="Recovery"/>).
/// </remarks>
public sealed class Trainer : IDisposable
{
    // Enough requests to catch a wrong graph, few enough to cost a millisecond.
    private const int GoldenRequests = 4;

    private readonly FeatureSchema schema;
    private readonly string model;
    private readonly double? frozenAfterSeconds;
    private readonly bool freezesItemTower;
    private readonly IReadOnlyList<string> streams;
    private readonly FeatureBatch golden;
    private readonly Queue<TeacherRecord> recent = new();
    private readonly List<TeacherRecord> batch = [];

    /// <param name="streams">Keys of the streams, in the order of <see cref="SourcedEntry.Source"/>.</param>
    /// <param name="frozenAfterSeconds">The live version becomes <c>student_frozen</c> after so long on the streams' clock; null: never.</param>
    /// <exception cref="ContractException">The configuration breaks a rule; names the field.</exception>
    public Trainer(FeatureSchema schema, StudentConfig student, DistillerConfig config, IReadOnlyList<string> streams, VersionWriter writer, double? frozenAfterSeconds)
    {
        (this.schema, this.streams, this.frozenAfterSeconds, model, Writer) = (schema, streams, frozenAfterSeconds, config.Model!, writer);
        freezesItemTower = config.Refresh.FreezeItemTower;
        Configuration = TrainingConfiguration.Hash(schema, student, config);
        Cohort = new(schema, student, config);
        GateSet = new(config.Gate.Window);
        Changes = new([.. Cohort.Student.NamedTables.Select(t => t.Table)]);
        LabelsOnlyChanges = Cohort.LabelsOnly is null ? null : new([.. Cohort.LabelsOnly.NamedTables.Select(t => t.Table)]);
        Joins = config.Labels is null ? null : new(config.Labels, schema.Targets);
        History = new(config.Checkpoint.LineageMb << 20);
        golden = new(schema, []);
    }

    public string Configuration { get; }

    public Cohort Cohort { get; }

    public GateSet GateSet { get; }

    public StreamProgress Progress { get; } = new();

    /// <summary>Rows of the student, in the order of <see cref="Learner.NamedTables"/>.</summary>
    public RowChanges Changes { get; }

    public RowChanges? LabelsOnlyChanges { get; }

    /// <summary>What was applied since the last checkpoint.</summary>
    public History History { get; }

    /// <summary>Null when labels come with their records only.</summary>
    public LabelJoins? Joins { get; }

    /// <summary>Knows which rows no version holds yet.</summary>
    public VersionWriter Writer { get; }

    /// <summary>The last records learned, oldest first: the next version's golden batch.</summary>
    public IReadOnlyCollection<TeacherRecord> Recent => recent;

    /// <summary>Learns a batch that was journaled. Every entry becomes one of: dead letter, repeat, label, gate set, or part of the batch.</summary>
    public void Learn(IReadOnlyList<SourcedEntry> entries)
    {
        Cohort.Clear();
        batch.Clear();
        var counters = Progress.Counters;
        if (counters.Examined == 0)
            counters = counters with { FirstEntryMs = entries[0].Entry.Id.Ms };
        foreach (var (source, entry) in entries)
        {
            var stream = streams[source];
            Progress.Advance(stream, entry.Id);
            counters = counters with { Examined = counters.Examined + 1 };
            if (entry.Fault is not null)
            {
                if (entry.Origin is var (producer, sequence))
                    Progress.Sequences(stream).ObserveDead(producer, sequence, entry.Id.Ms);
                counters = counters with { DeadLettered = counters.DeadLettered + 1 };
            }
            else if (entry.Labels is { } labels)
            {
                // Event time 0: labels do not move the watermark.
                if (Progress.Sequences(stream).Observe(labels.ProducerId, labels.Sequence, eventTimeMs: 0, entry.Id.Ms) != SequenceVerdict.Repeat
                    && Joins!.Join(labels) is { } join)
                    Add(join);
            }
            else if (Progress.Sequences(stream).Observe(entry.Record!, entry.Id.Ms) != SequenceVerdict.Repeat)
            {
                counters = counters with { Consumed = counters.Consumed + 1 };
                counters = counters with { HeldOut = counters.HeldOut + (GateSet.IsHeldOut(entry.Record!.RequestId) ? 1 : 0) };
                Progress.Observe(entry.Record);
                Add(Joins?.Observe(entry.Record) ?? entry.Record);
            }
        }
        Progress.Counters = counters;
        foreach (var record in batch)
            Cohort.Add(record);
        Cohort.ScoreAndLearn();
        RememberScores();
        Progress.Batches++;
        FreezeWhenDue();
    }

    private void Add(TeacherRecord record)
    {
        if (!GateSet.IsHeldOut(record.RequestId))
        {
            batch.Add(record);
            Remember(record);
        }
        // Without labels it would compare nothing; it comes when they do.
        else if (Joins?.IsOpen(record.RequestId) != true)
        {
            GateSet.Add(record);
        }
    }

    private void Add(LabelJoin join)
    {
        var record = join.Record;
        if (GateSet.IsHeldOut(record.RequestId))
        {
            GateSet.Add(record);
            return;
        }
        // Still in the batch: learned with its labels at once.
        var at = batch.FindIndex(r => r.RequestId == record.RequestId && r.Outputs.Count > 0);
        if (at >= 0)
        {
            batch[at] = LabelJoins.With(batch[at], record.Labels);
            return;
        }
        Evaluate(join);
        batch.Add(record);
    }

    // By what was said before any of it was learned, the soft labels included.
    private void Evaluate(LabelJoin join)
    {
        if (join.Scores is { } scores && join.Record.Labels.FirstOrDefault(l => l.Target == schema.Targets[0]) is { } labels)
        {
            Cohort.Evaluation.Observe(new(labels.States.Span, join.Record.Origin.Span, join.Record.SamplingLogQ.ToArray()), new()
            {
                Teacher = scores.Teacher,
                Student = scores.Student,
                StudentLatest = scores.StudentLatest,
                StudentLabelsOnly = scores.StudentLabelsOnly,
                StudentFrozen = scores.StudentFrozen,
            }, scores.TeacherName is null ? [] : [new(scores.TeacherName, scores.TeacherVersion, null)]);
            if (scores is { TeacherName: { } teacher, Teacher: { } logits })
                Cohort.Calibration.Judge(teacher, scores.TeacherVersion, schema.Targets[0], logits, join.Record);
        }
    }

    private void RememberScores()
    {
        for (var r = 0; Joins is not null && r < batch.Count; r++)
        {
            if (batch[r].Outputs.Count > 0 && Joins.IsOpen(batch[r].RequestId))
                Joins.Remember(batch[r].RequestId, Cohort.ScoresOf(r));
        }
    }

    /// <summary>From now on this version is scored as <c>student</c>; one that is not remembered changes nothing.</summary>
    public void SetLive(long version)
    {
        Cohort.Published.SetLive(version);
        FreezeWhenDue();
    }

    /// <summary>Forks a version from the weights of now.</summary>
    public (VersionDraft Draft, FrozenStudent Candidate) Draft(VersionPlan plan)
    {
        var student = Cohort.Student;
        var dense = student.Student.ToDense();
        // The newest published version has its base's item encoder, by the same rule.
        if (freezesItemTower && !plan.IsBase && Cohort.Published.Newest is { } newest)
            dense = dense.WithItemEncoderOf(newest.Module.ToDense());
        var changes = Changes.TakeForVersion();
        var rows = student.Embeddings.Tables.Select(t => changes[IndexOf(t)]).ToList();
        var draft = VersionDraft.Take(schema, student.Embeddings.Tables, rows, dense, Golden(dense), Origin());
        return (draft, new FrozenStudent(plan.Version, dense, [.. draft.Tables.Select(t => t.Fork())]));
    }

    /// <summary>Rows that no published version holds, a list a table of <see cref="SparseEmbeddings.Tables"/>: what the next delta needs.</summary>
    public IReadOnlyList<int[]> Unpublished()
    {
        var since = Changes.SinceVersion();
        return [.. Cohort.Student.Embeddings.Tables.Select((table, t) =>
            VersionWriter.Union(Writer.Pending.Count == 0 ? [] : Writer.Pending[t], since[IndexOf(table)]))];
    }

    /// <summary>The student's tables are as a checkpoint holds them.</summary>
    public void RestoreChanges()
    {
        Changes.Restore([.. Changes.Tables.Select(_ => Array.Empty<int>())]);
        LabelsOnlyChanges?.Restore([.. LabelsOnlyChanges.Tables.Select(_ => Array.Empty<int>())]);
    }

    public void Remember(TeacherRecord record)
    {
        if (recent.Count == GoldenRequests)
            recent.Dequeue();
        recent.Enqueue(record);
    }

    public void Dispose() => Cohort.Dispose();

    private void FreezeWhenDue()
    {
        if (Cohort.Published.Frozen is null && Progress.StreamSeconds >= frozenAfterSeconds && Cohort.Published.Freeze())
            DistillerLog.Info($"version {Cohort.Published.Frozen!.Version} is frozen for comparison");
    }

    private int IndexOf(EmbeddingTable table)
    {
        for (var t = 0; t < Changes.Tables.Count; t++)
        {
            if (ReferenceEquals(Changes.Tables[t], table))
                return t;
        }
        throw new InvalidOperationException($"table '{table.Shape.Name}' is not part of the learner's state");
    }

    private DraftOrigin Origin()
    {
        var evaluated = Cohort.Evaluation.Snapshot();
        var metrics = evaluated.Scorers.GetValueOrDefault("student_latest");
        var named = new Dictionary<string, double>();
        foreach (var (name, value) in (ReadOnlySpan<(string, double?)>)[("gauc", metrics?.Gauc), ("auc", metrics?.Auc), ("logloss", metrics?.Logloss)])
        {
            if (value is { } v && double.IsFinite(v))
                named[name] = v;
        }
        return new(Progress.PositionVector, Progress.WatermarkMs, Progress.TeacherVersions.ToDictionary(), Progress.Counters.Learned, named)
        {
            Teachers = LearnedTeachers.Of(Cohort.Calibration.Report(), evaluated.ByTeacherVersion),
        };
    }

    private GoldenBatch Golden(DenseStudent dense)
    {
        golden.Clear();
        foreach (var record in recent)
            golden.AddFeatures(record.User, record.Item, record.Privileged, record.CandidateCount);
        var targets = schema.Targets.Count;
        var logits = new float[golden.Candidates * targets];
        using var published = Student.Create(dense);
        Learner.Score(published, Cohort.Student.Embeddings.Tables, golden, logits);
        return Publishing.GoldenRequests.Batch(recent.Select((r, u) =>
            (Publishing.GoldenRequests.From(r, model), logits[(golden.Starts[u] * targets)..(golden.Starts[u + 1] * targets)])));
    }
}
