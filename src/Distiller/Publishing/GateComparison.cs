using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Publishing;

/// <summary>Candidate and incumbent on the same impressions: the paired differences of their per-impression AUC.</summary>
public sealed class GateComparison
{
    private readonly List<double> differences = [];

    /// <summary>Impressions that hold both labels and that both scored.</summary>
    public int Impressions => differences.Count;

    /// <summary>False once the candidate gave a logit that is not finite.</summary>
    public bool IsCandidateFinite { get; private set; } = true;

    /// <summary>Mean difference candidate − incumbent; 0 without impressions.</summary>
    public double Mean => differences.Count == 0 ? 0 : differences.Average();

    /// <summary>Standard error of <see cref="Mean"/>; infinite with fewer than two impressions.</summary>
    public double StandardError
    {
        get
        {
            if (differences.Count < 2)
                return double.PositiveInfinity;
            var mean = Mean;
            var variance = differences.Sum(d => (d - mean) * (d - mean)) / (differences.Count - 1);
            return Math.Sqrt(variance / differences.Count);
        }
    }

    /// <param name="candidate">Logits [N] of the version to be.</param>
    /// <param name="incumbent">Logits [N] of the version that serves; empty when there is none.</param>
    public void Add(LabelledSession session, ReadOnlySpan<float> candidate, ReadOnlySpan<float> incumbent)
    {
        foreach (var logit in candidate)
            IsCandidateFinite &= float.IsFinite(logit);
        if (incumbent.IsEmpty || !IsCandidateFinite)
            return;
        var states = ProgressiveEvaluation.SampledAsNegative(session, new byte[session.Candidates]);
        if (Auc.Of(candidate, states) - Auc.Of(incumbent, states) is { } difference)
            differences.Add(difference);
    }

    /// <summary>Adds a difference known already.</summary>
    internal void Add(double difference) => differences.Add(difference);
}
