using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Running metrics of one scorer. Memory does not grow with the stream.</summary>
internal sealed class ScorerAccumulator(bool correctLogQ)
{
    private const int K = 10;

    private readonly HistogramAuc auc = new();
    private readonly RunningMean gauc = new();
    private readonly RunningMean logLoss = new();
    private readonly RunningMean ndcg = new();
    private readonly RunningMean overlap = new();
    private readonly RunningMean correlation = new();
    private double exposedProbability;
    private long exposedPositives;
    private long records;

    public ScorerMetrics Metrics => new(records, auc.Value, gauc.Value, logLoss.Value, ndcg.Value, overlap.Value, correlation.Value,
        exposedPositives == 0 ? null : exposedProbability / exposedPositives);

    /// <param name="ranked">Label states for ranking metrics: sampled candidates are negatives even where no label says so.</param>
    /// <param name="teacher">Empty when this is the teacher, or it did not score.</param>
    /// <returns>The session's AUC; null when it lacks a class.</returns>
    public double? Observe(LabelledSession session, ReadOnlySpan<byte> ranked, ReadOnlySpan<float> logits, ReadOnlySpan<float> teacher)
    {
        records++;
        for (var i = 0; i < logits.Length; i++)
        {
            if (ranked[i] != (byte)LabelState.Unknown)
                auc.Add(logits[i], ranked[i] == (byte)LabelState.Positive);
            if (session.States[i] != (byte)LabelState.Unknown)
                ObserveProbability(session, i, logits[i]);
        }
        var sessionAuc = Auc.Of(logits, ranked);
        gauc.Add(sessionAuc);
        ndcg.Add(Ndcg.At(K, logits, ranked));
        if (!teacher.IsEmpty)
        {
            overlap.Add(Agreement.OverlapAt(K, logits, teacher));
            correlation.Add(Agreement.RankCorrelation(logits, teacher));
        }
        return sessionAuc;
    }

    private void ObserveProbability(LabelledSession session, int i, float logit)
    {
        var isPositive = session.States[i] == (byte)LabelState.Positive;
        double z = logit;
        if (correctLogQ && session.Origins[i] == (byte)CandidateOrigin.Sampled)
            z -= session.LogQ[i];
        // −log p of what happened: softplus(−z) for a positive, softplus(z) for a negative; no overflow for any z.
        var x = isPositive ? -z : z;
        logLoss.Add(Math.Max(x, 0) + double.LogP1(Math.Exp(-Math.Abs(x))));
        if (session.Origins[i] == (byte)CandidateOrigin.Exposed)
        {
            exposedProbability += 1 / (1 + Math.Exp(-z));
            exposedPositives += isPositive ? 1 : 0;
        }
    }

    public void Save(BinaryWriter writer)
    {
        auc.Save(writer);
        foreach (var mean in Means)
            mean.Save(writer);
        writer.Write(exposedProbability);
        writer.Write(exposedPositives);
        writer.Write(records);
    }

    public void Restore(BinaryReader reader)
    {
        auc.Restore(reader);
        foreach (var mean in Means)
            mean.Restore(reader);
        exposedProbability = reader.ReadDouble();
        exposedPositives = reader.ReadInt64();
        records = reader.ReadInt64();
    }

    private RunningMean[] Means => [gauc, logLoss, ndcg, overlap, correlation];
}

/// <summary>Sum and count.</summary>
internal sealed class RunningMean
{
    private double sum;
    private long count;

    public double? Value => count == 0 ? null : sum / count;

    public void Add(double? value)
    {
        if (value is not { } v)
            return;
        sum += v;
        count++;
    }

    public void Save(BinaryWriter writer)
    {
        writer.Write(sum);
        writer.Write(count);
    }

    public void Restore(BinaryReader reader)
    {
        sum = reader.ReadDouble();
        count = reader.ReadInt64();
    }
}
