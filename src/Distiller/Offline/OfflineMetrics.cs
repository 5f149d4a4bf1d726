using System.Runtime.InteropServices;
using System.Text.Json.Serialization;
using KdServing.Contracts;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Offline;

/// <summary>How good scores of a set of records are, first target.</summary>
/// <param name="Auc">Exact, over all labelled candidates.</param>
/// <param name="Gauc">Mean AUC of the records that hold both labels.</param>
/// <param name="Logloss">Mean over labelled candidates.</param>
/// <param name="OverlapAt10">With the teacher on the probe lists; null when there are none.</param>
/// <param name="Calibration">Σ p / Σ y over exposed candidates.</param>
public sealed record OfflineMetrics(double? Auc, double? Gauc, double? Logloss,
    [property: JsonPropertyName("overlap_at_10")] double? OverlapAt10, double? Calibration)
{
    /// <param name="logits">[candidates of all records], record after record.</param>
    /// <param name="correctLogQ">Log loss of sampled candidates uses logit − log q; see <see cref="ProgressiveEvaluation"/>.</param>
    public static OfflineMetrics Of(IReadOnlyList<TeacherRecord> records, ReadOnlySpan<float> logits, FeatureSchema schema, bool correctLogQ)
    {
        var accumulator = new ScorerAccumulator();
        var states = new List<byte>(logits.Length);
        var start = 0;
        foreach (var record in records)
        {
            var n = record.CandidateCount;
            var labels = record.Labels.FirstOrDefault(l => l.Target == schema.Targets[0])?.States.ToByteArray() ?? new byte[n];
            var session = new LabelledSession(labels, record.Origin.Span, record.SamplingLogQ.ToArray());
            var ranked = ProgressiveEvaluation.SampledAsNegative(session, new byte[n]);
            var scores = logits.Slice(start, n);
            accumulator.Add(SessionResult.Of(session, ranked, scores, [], correctLogQ), scores, ranked);
            states.AddRange(ranked);
            start += n;
        }
        var metrics = accumulator.Metrics;
        return new(Evaluation.Auc.Of(logits, CollectionsMarshal.AsSpan(states)), metrics.Gauc, metrics.Logloss, null, metrics.Calibration);
    }

    /// <summary>Mean overlap of the best ten with the teacher's, over the records of more than ten candidates; null when there is none.</summary>
    public static double? Overlap(IReadOnlyList<TeacherRecord> records, ReadOnlySpan<float> logits, ReadOnlySpan<float> teacher)
    {
        var (sum, count, start) = (0.0, 0, 0);
        foreach (var record in records)
        {
            if (Agreement.OverlapAt(10, logits.Slice(start, record.CandidateCount), teacher.Slice(start, record.CandidateCount)) is { } overlap)
                (sum, count) = (sum + overlap, count + 1);
            start += record.CandidateCount;
        }
        return count == 0 ? null : sum / count;
    }
}
