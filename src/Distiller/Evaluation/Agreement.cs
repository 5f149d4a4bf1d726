using System.Buffers;

namespace KdServing.Distiller.Evaluation;

/// <summary>How alike two scorers order the candidates of one session.</summary>
public static class Agreement
{
    /// <summary>|top K of a ∩ top K of b| / K; ties go to the lower position, as in a reply.</summary>
    /// <returns>Null when the session has no more than K candidates: every order would agree.</returns>
    public static double? OverlapAt(int k, ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (a.Length <= k)
            return null;
        Span<int> topA = stackalloc int[k];
        Span<int> topB = stackalloc int[k];
        Top(a, topA);
        Top(b, topB);
        var common = 0;
        foreach (var position in topA)
            common += topB.Contains(position) ? 1 : 0;
        return (double)common / k;
    }

    /// <summary>Spearman's correlation: Pearson's over the ranks, ties sharing their mean rank.</summary>
    /// <returns>Null when a side has no order: fewer than two candidates, or all equal.</returns>
    public static double? RankCorrelation(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var n = a.Length;
        var rented = ArrayPool<double>.Shared.Rent(2 * n);
        try
        {
            var ranksA = rented.AsSpan(0, n);
            var ranksB = rented.AsSpan(n, n);
            Rank(a, ranksA);
            Rank(b, ranksB);
            var mean = (n - 1) / 2.0;
            var (ab, aa, bb) = (0.0, 0.0, 0.0);
            for (var i = 0; i < n; i++)
            {
                var (x, y) = (ranksA[i] - mean, ranksB[i] - mean);
                (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
            }
            return aa > 0 && bb > 0 ? ab / Math.Sqrt(aa * bb) : null;
        }
        finally
        {
            ArrayPool<double>.Shared.Return(rented);
        }
    }

    /// <summary>Positions of the largest scores, best first.</summary>
    internal static void Top(ReadOnlySpan<float> scores, Span<int> top)
    {
        var filled = 0;
        for (var i = 0; i < scores.Length; i++)
        {
            if (filled == top.Length && scores[i] <= scores[top[^1]])
                continue;
            var place = filled < top.Length ? filled++ : filled - 1;
            for (; place > 0 && scores[top[place - 1]] < scores[i]; place--)
                top[place] = top[place - 1];
            top[place] = i;
        }
    }

    private static void Rank(ReadOnlySpan<float> scores, Span<double> ranks)
    {
        var n = scores.Length;
        var keys = ArrayPool<float>.Shared.Rent(n);
        var order = ArrayPool<int>.Shared.Rent(n);
        try
        {
            scores.CopyTo(keys);
            for (var i = 0; i < n; i++)
                order[i] = i;
            keys.AsSpan(0, n).Sort(order.AsSpan(0, n));
            for (int first = 0, end; first < n; first = end)
            {
                for (end = first + 1; end < n && keys[end] == keys[first];)
                    end++;
                for (var i = first; i < end; i++)
                    ranks[order[i]] = (first + end - 1) / 2.0;
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(keys);
            ArrayPool<int>.Shared.Return(order);
        }
    }
}
