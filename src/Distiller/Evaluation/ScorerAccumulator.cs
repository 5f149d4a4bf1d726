using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Running metrics of one scorer. Memory does not grow with the stream.</summary>
/// <param name="binsPerLogit">See <see cref="HistogramAuc"/>.</param>
internal sealed class ScorerAccumulator(int binsPerLogit = HistogramAuc.FineBins)
{
    private readonly HistogramAuc auc = new(binsPerLogit);
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

    /// <param name="ranked">As <paramref name="result"/> was found with.</param>
    public void Add(in SessionResult result, ReadOnlySpan<float> logits, ReadOnlySpan<byte> ranked)
    {
        records++;
        for (var i = 0; i < logits.Length; i++)
        {
            if (ranked[i] != (byte)LabelState.Unknown)
                auc.Add(logits[i], ranked[i] == (byte)LabelState.Positive);
        }
        gauc.Add(result.Auc);
        ndcg.Add(result.Ndcg);
        overlap.Add(result.Overlap);
        correlation.Add(result.Correlation);
        logLoss.Add(result.LoglossSum, result.Labelled);
        exposedProbability += result.ExposedProbability;
        exposedPositives += result.ExposedPositives;
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
        if (value is { } v)
            Add(v, 1);
    }

    /// <param name="of">The sum of so many values.</param>
    public void Add(double total, long of)
    {
        sum += total;
        count += of;
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
