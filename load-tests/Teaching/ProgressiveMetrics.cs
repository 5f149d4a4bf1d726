using System.Globalization;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Evaluation;

namespace KdServing.LoadTests.Teaching;

/// <summary>AUC, GAUC and log loss of logits against labels, updated impression by impression. One thread.</summary>
/// <remarks>
/// AUC pools the candidates of all impressions. The log loss is what the loss trains: with the correction, a sampled candidate's logit
/// is s − log q.
/// </remarks>
/// <param name="correctLogQ">See <see cref="Distiller.Losses.HardLabelConfig.LogQCorrection"/>.</param>
public sealed class ProgressiveMetrics(bool correctLogQ)
{
    private HistogramAuc pooled = new();
    private GroupedAuc groups = new();
    private double lossSum;
    private long labelled;

    /// <summary>Impressions seen.</summary>
    public long Impressions { get; private set; }

    /// <summary>Mean AUC within an impression; null before the first one.</summary>
    public double? Gauc => groups.Count == 0 ? null : groups.Mean;

    /// <summary>Mean binary cross entropy in nats; null before the first label.</summary>
    public double? LogLoss => labelled == 0 ? null : lossSum / labelled;

    /// <summary>Share of the pairs of a positive and a negative, of any impressions, that are in order; null before the first pair.</summary>
    public double? Auc => pooled.Value;

    /// <param name="logits">One a candidate.</param>
    /// <param name="states">One <see cref="LabelState"/> a candidate.</param>
    /// <param name="logQ">Log of each candidate's sampling probability, 0 when exposed.</param>
    public void Add(ReadOnlySpan<float> logits, ReadOnlySpan<byte> states, IReadOnlyList<float> logQ)
    {
        Impressions++;
        groups.Add(logits, states);
        for (var i = 0; i < logits.Length; i++)
        {
            if (states[i] == (byte)LabelState.Unknown)
                continue;
            var positive = states[i] == (byte)LabelState.Positive;
            pooled.Add(logits[i], positive);
            double seen = logits[i] - (correctLogQ ? logQ[i] : 0);
            lossSum += Math.Max(seen, 0) + Math.Log(1 + Math.Exp(-Math.Abs(seen))) - (positive ? seen : 0);
            labelled++;
        }
    }

    public void Clear()
    {
        pooled = new();
        groups = new();
        (lossSum, labelled, Impressions) = (0, 0, 0);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"GAUC {Gauc ?? double.NaN:F4}  AUC {Auc ?? double.NaN:F4}  log loss {LogLoss ?? double.NaN:F4}");
}
