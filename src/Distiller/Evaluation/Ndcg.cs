using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Normalised discounted cumulative gain with binary gains: 1 / log2(rank + 1) for each positive among the first K.</summary>
public static class Ndcg
{
    /// <param name="states">One <see cref="LabelState"/> a score; only positives gain.</param>
    /// <returns>Null without a positive.</returns>
    public static double? At(int k, ReadOnlySpan<float> scores, ReadOnlySpan<byte> states)
    {
        var positives = states.Count((byte)LabelState.Positive);
        if (positives == 0)
            return null;
        Span<int> top = stackalloc int[Math.Min(k, scores.Length)];
        Agreement.Top(scores, top);
        var (gain, best) = (0.0, 0.0);
        for (var rank = 0; rank < top.Length; rank++)
        {
            if (states[top[rank]] == (byte)LabelState.Positive)
                gain += 1 / Math.Log2(rank + 2);
            if (rank < positives)
                best += 1 / Math.Log2(rank + 2);
        }
        return gain / best;
    }
}
