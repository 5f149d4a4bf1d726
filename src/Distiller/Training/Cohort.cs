using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Calibration;
using KdServing.Distiller.Evaluation;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Training;

/// <summary>
/// All who see the same batches: the student, its twin that learns from labels only, and the published versions they are compared
/// with. One thread.
/// </summary>
/// <remarks>
/// <code>
/// cohort.Clear();
/// foreach (var record in records) cohort.Add(record);
/// cohort.ScoreAndLearn();
/// </code>
/// </remarks>
public sealed class Cohort : IDisposable
{
    private readonly FeatureBatch batch;
    private readonly BatchScores scores;
    private readonly int teacherSource;
    private readonly List<TeacherRecord> records = [];
    // As the stream brought them: the batch holds what is learned.
    private readonly List<float> teacherLogits = [];

    /// <exception cref="ContractException">A loss breaks a rule; names the field.</exception>
    public Cohort(FeatureSchema schema, StudentConfig shape, DistillerConfig config)
    {
        var method = Method.Create(schema, shape, config);
        Student = new(schema, shape, config.Optimizer, config.Seed, method);
        if (config.Evaluation.LabelsOnly && config.HardLabel.Weight > 0)
            LabelsOnly = new(schema, shape, config.Optimizer, config.Seed, Method.LabelsOnly(schema, shape, config));

        var teacher = new SoftLabelSource(null, schema.Targets[0]);
        batch = method.NewBatch(teacher);
        teacherSource = batch.Sources.IndexOf(teacher);
        scores = new(schema);
        Evaluation = new([Scorer.Teacher, Scorer.Student, Scorer.StudentLatest, .. LabelsOnly is null ? [] : (Scorer[])[Scorer.StudentLabelsOnly]],
            config.HardLabel.LogQCorrection, config.Seed, config.TeacherCalibration.VersionsKept);
        Calibration = new(config.TeacherCalibration, config.HardLabel, schema.Targets);
    }

    public Learner Student { get; }

    /// <summary>Null when the configuration does not ask for it.</summary>
    public Learner? LabelsOnly { get; }

    public PublishedStudents Published { get; } = new();

    public ProgressiveEvaluation Evaluation { get; }

    public TeacherCalibration Calibration { get; }

    /// <summary>Records of the batch.</summary>
    public IReadOnlyList<TeacherRecord> Records => records;

    public void Clear()
    {
        batch.Clear();
        records.Clear();
    }

    public void Add(TeacherRecord record)
    {
        batch.Add(record);
        records.Add(record);
    }

    /// <summary>Each scorer sees the records before any of them is learned.</summary>
    public void ScoreAndLearn()
    {
        if (batch.Records == 0)
            return;
        scores.Clear();
        teacherLogits.Clear();
        teacherLogits.AddRange(batch.SoftLabels(teacherSource));
        Calibration.Apply(batch);
        Published.Live?.Score(batch, scores.Of(Scorer.Student, batch.Candidates));
        Published.Frozen?.Score(batch, scores.Of(Scorer.StudentFrozen, batch.Candidates));
        Student.ScoreAndLearn(batch, scores.Of(Scorer.StudentLatest, batch.Candidates));
        LabelsOnly?.ScoreAndLearn(batch, scores.Of(Scorer.StudentLabelsOnly, batch.Candidates));
        scores.Observe(batch, CollectionsMarshal.AsSpan(teacherLogits), records, Evaluation);
    }

    /// <summary>What each scorer said of a record of the batch before it was learned; after <see cref="ScoreAndLearn"/>.</summary>
    /// <param name="record">Its index in <see cref="Records"/>.</param>
    public SessionScores ScoresOf(int record) =>
        scores.Session(CollectionsMarshal.AsSpan(teacherLogits), records[record], batch.Starts[record], batch.Starts[record + 1] - batch.Starts[record]);

    public void Dispose()
    {
        Published.Dispose();
        LabelsOnly?.Dispose();
        Student.Dispose();
    }
}
