using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>What one record shows of one scorer.</summary>
/// <param name="Auc">Null when the record lacks a class; likewise the others.</param>
/// <param name="LoglossSum">Over <paramref name="Labelled"/> candidates.</param>
/// <param name="ExposedProbability">Sum over labelled exposed candidates.</param>
internal readonly record struct SessionResult(double? Auc, double? Ndcg, double? Overlap, double? Correlation, double LoglossSum, long Labelled,
    double ExposedProbability, long ExposedPositives)
{
    private const int K = 10;

    /// <param name="ranked">Label states for ranking metrics: sampled candidates are negatives even where no label says so.</param>
    /// <param name="teacher">Empty when this is the teacher, or it did not score.</param>
    public static SessionResult Of(LabelledSession session, ReadOnlySpan<byte> ranked, ReadOnlySpan<float> logits, ReadOnlySpan<float> teacher, bool correctLogQ)
    {
        var (loss, labelled, probability, positives) = (0.0, 0L, 0.0, 0L);
        for (var i = 0; i < logits.Length; i++)
        {
            if (session.States[i] == (byte)LabelState.Unknown)
                continue;
            var isPositive = session.States[i] == (byte)LabelState.Positive;
            double z = logits[i];
            if (correctLogQ && session.Origins[i] == (byte)CandidateOrigin.Sampled)
                z -= session.LogQ[i];
            // −log p of what happened: softplus(−z) for a positive, softplus(z) for a negative; no overflow for any z.
            var x = isPositive ? -z : z;
            loss += Math.Max(x, 0) + double.LogP1(Math.Exp(-Math.Abs(x)));
            labelled++;
            if (session.Origins[i] == (byte)CandidateOrigin.Exposed)
            {
                probability += 1 / (1 + Math.Exp(-z));
                positives += isPositive ? 1 : 0;
            }
        }
        return new(Evaluation.Auc.Of(logits, ranked), Evaluation.Ndcg.At(K, logits, ranked), teacher.IsEmpty ? null : Agreement.OverlapAt(K, logits, teacher),
            teacher.IsEmpty ? null : Agreement.RankCorrelation(logits, teacher), loss, labelled, probability, positives);
    }
}
