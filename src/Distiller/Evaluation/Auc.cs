using System.Buffers;
using KdServing.Contracts;

namespace KdServing.Distiller.Evaluation;

/// <summary>Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties counted one half.</summary>
public static class Auc
{
    // Up to here comparing every pair beats sorting; a session has few positives.
    private const int MaxPairs = 16_384;

    /// <param name="scores">Any monotone score, e.g. logits; finite.</param>
    /// <param name="states">One <see cref="LabelState"/> a score; unknown ones do not count.</param>
    /// <returns>Null without a positive or without a negative.</returns>
    public static double? Of(ReadOnlySpan<float> scores, ReadOnlySpan<byte> states)
    {
        var rented = ArrayPool<float>.Shared.Rent(scores.Length);
        try
        {
            // Positives from the front, negatives from the back.
            var (positives, negatives) = (0, 0);
            for (var i = 0; i < scores.Length; i++)
            {
                if (states[i] == (byte)LabelState.Positive)
                    rented[positives++] = scores[i];
                else if (states[i] == (byte)LabelState.Negative)
                    rented[scores.Length - ++negatives] = scores[i];
            }
            if (positives == 0 || negatives == 0)
                return null;
            var p = rented.AsSpan(0, positives);
            var n = rented.AsSpan(scores.Length - negatives, negatives);
            var wins = (long)positives * negatives <= MaxPairs ? CountPairs(p, n) : CountSorted(p, n);
            return wins / positives / negatives;
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    private static double CountPairs(ReadOnlySpan<float> positives, ReadOnlySpan<float> negatives)
    {
        var halves = 0L;
        foreach (var p in positives)
        {
            foreach (var n in negatives)
                halves += (p > n ? 1 : 0) + (p >= n ? 1 : 0);
        }
        return halves / 2.0;
    }

    private static double CountSorted(Span<float> positives, Span<float> negatives)
    {
        positives.Sort();
        negatives.Sort();
        var halves = 0L;
        var (below, upTo) = (0, 0);
        foreach (var p in positives)
        {
            while (below < negatives.Length && negatives[below] < p)
                below++;
            while (upTo < negatives.Length && negatives[upTo] <= p)
                upTo++;
            halves += below + upTo;
        }
        return halves / 2.0;
    }
}
