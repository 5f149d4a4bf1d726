using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Distiller.Evaluation;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>Trains students once in event order; every record is scored before it is learned, so that all of them are both training and test.</summary>
/// <remarks>The first half of the replay chooses the preset, the second is reported.</remarks>
public sealed class ProgressiveComparison(FeatureSchema schema, StudentConfig shape, DistillerConfig config, ReplayedData data) : IComparison
{
    private readonly int half = data.Records.Count / 2;
    private readonly int halfCandidates = data.Records.Take(data.Records.Count / 2).Sum(r => r.CandidateCount);

    /// <inheritdoc/>
    public OfflineMetrics? Teacher => Metrics(data.Teacher).Second with { OverlapAt10 = 1 };

    /// <inheritdoc/>
    public string? Missing(Contender contender) => contender switch
    {
        { Preset: not null, Name: var name } when name.EndsWith(Contender.UnexposedSuffix, StringComparison.Ordinal) =>
            "is for files: the candidates of a replay are those of its records",
        _ => contender.Missing(schema, [.. data.Records[0].Outputs.Select(o => o.Teacher).Distinct()], hasUnexposed: true),
    };

    /// <inheritdoc/>
    public StudentRun Run(Contender contender, int seed, Action<double> progress, CancellationToken cancellation)
    {
        var own = contender.Configure(config, seed);
        var method = contender.Method(schema, shape, own);
        var batch = method.NewBatch();
        using var learner = new Learner(schema, shape, own.Optimizer, own.Seed, method);
        var targets = schema.Targets.Count;
        var scores = new float[data.Teacher.Length];
        var (filled, watch) = (0, Stopwatch.StartNew());
        for (var start = 0; start < data.Records.Count; start += own.BatchRecords)
        {
            cancellation.ThrowIfCancellationRequested();
            batch.Clear();
            for (var i = start; i < Math.Min(data.Records.Count, start + own.BatchRecords); i++)
                batch.Add(data.Records[i]);
            var logits = new float[batch.Candidates * targets];
            learner.ScoreAndLearn(batch, logits);
            for (var i = 0; i < batch.Candidates; i++)
                scores[filled++] = logits[i * targets];
            progress((double)start / data.Records.Count);
        }
        var seconds = watch.Elapsed.TotalSeconds;
        var (first, second) = Metrics(scores);
        return new(contender.Name, seed, first, second, 1, filled / seconds, SessionAucs(scores));
    }

    private (OfflineMetrics First, OfflineMetrics Second) Metrics(float[] scores)
    {
        return (Of([.. data.Records.Take(half)], 0, halfCandidates), Of([.. data.Records.Skip(half)], halfCandidates, scores.Length));

        OfflineMetrics Of(List<TeacherRecord> records, int start, int end) =>
            OfflineMetrics.Of(records, scores.AsSpan(start..end), schema, config.HardLabel.LogQCorrection) with
            {
                OverlapAt10 = OfflineMetrics.Overlap(records, scores.AsSpan(start..end), data.Teacher.AsSpan(start..end)),
            };
    }

    private float[] SessionAucs(float[] scores)
    {
        var aucs = new float[data.Records.Count - half];
        var start = halfCandidates;
        for (var r = 0; r < aucs.Length; r++)
        {
            var record = data.Records[half + r];
            var labels = record.Labels.FirstOrDefault(l => l.Target == schema.Targets[0])?.States.ToByteArray() ?? new byte[record.CandidateCount];
            var session = new LabelledSession(labels, record.Origin.Span, record.SamplingLogQ.ToArray());
            var ranked = ProgressiveEvaluation.SampledAsNegative(session, new byte[labels.Length]);
            aucs[r] = (float?)Auc.Of(scores.AsSpan(start, record.CandidateCount), ranked) ?? float.NaN;
            start += record.CandidateCount;
        }
        return aucs;
    }
}
