using System.Buffers;
using System.Numerics;

namespace KdServing.Distiller.Losses;

/// <summary>The loss of a pair as a function of how far the student and the teacher have its members apart.</summary>
internal interface IPairTerm
{
    /// <param name="student">s_winner − s_loser of several pairs.</param>
    /// <param name="teacher">t_winner − t_loser, above 0.</param>
    /// <param name="more">The same difference of the further column.</param>
    /// <param name="slope">dℓ/dstudent.</param>
    /// <param name="counts">1 for a pair that counts in the mean's denominator, else 0.</param>
    Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts);
}

/// <summary>Sums a pair's loss and slope over all pairs of all sessions, without ever holding the pairs.</summary>
/// <remarks>
/// Candidates are sorted by the teacher; the losers to one winner then lie side by side. Time Σ n²/2 over sessions of n, a few pairs an
/// instruction; memory n.
/// </remarks>
internal static class PairSlopes
{
    private static readonly Vector<float> Places = new([.. Enumerable.Range(0, Vector<float>.Count).Select(i => (float)i)]);

    /// <param name="student">[N].</param>
    /// <param name="teacher">[N]: orders the pairs.</param>
    /// <param name="more">A further column for the term, [N].</param>
    /// <param name="weights">Of a pair by its winner, [N]; empty: all 1.</param>
    /// <param name="slopes">dL/dstudent of the mean is written, [N].</param>
    /// <returns>The mean over the pairs that count, 0 without any.</returns>
    public static double Mean<TTerm>(TTerm term, SessionIndex sessions, ReadOnlySpan<float> student, ReadOnlySpan<float> teacher,
        ReadOnlySpan<float> more, ReadOnlySpan<float> weights, Span<float> slopes) where TTerm : struct, IPairTerm
    {
        var padded = sessions.Longest + Vector<float>.Count;
        var rented = ArrayPool<float>.Shared.Rent(4 * padded);
        var order = ArrayPool<int>.Shared.Rent(sessions.Longest);
        try
        {
            var s = rented.AsSpan(0, padded);
            var t = rented.AsSpan(padded, padded);
            var m = rented.AsSpan(2 * padded, padded);
            var g = rented.AsSpan(3 * padded, padded);
            var (sum, count) = (0.0, 0.0);
            for (var session = 0; session < sessions.Count; session++)
            {
                var members = sessions.Members(session);
                var n = members.Length;
                members.CopyTo(order);
                for (var k = 0; k < n; k++)
                    t[k] = -teacher[members[k]];
                t[..n].Sort(order.AsSpan(0, n));
                for (var k = 0; k < n; k++)
                {
                    s[k] = student[order[k]];
                    t[k] = -t[k];
                    m[k] = more[order[k]];
                }
                // Beyond the end the lanes hold the last candidate again: finite numbers that are masked out.
                s[n..(n + Vector<float>.Count)].Fill(s[n - 1]);
                t[n..(n + Vector<float>.Count)].Fill(t[n - 1]);
                m[n..(n + Vector<float>.Count)].Fill(m[n - 1]);
                g[..(n + Vector<float>.Count)].Clear();
                for (int winner = 0, losers = 0; winner < n; winner++)
                {
                    while (losers < n && t[losers] >= t[winner])
                        losers++;
                    if (losers == n)
                        break;
                    var weight = weights.IsEmpty ? 1 : weights[order[winner]];
                    if (weight == 0)
                        continue;
                    var (rowSum, rowCount) = Row(term, s, t, m, g, winner, losers, n, weight);
                    sum += rowSum * weight;
                    count += rowCount;
                }
                for (var k = 0; k < n; k++)
                    slopes[order[k]] = g[k];
            }
            count = Math.Max(count, 1);
            for (var i = 0; i < slopes.Length; i++)
                slopes[i] = (float)(slopes[i] / count);
            return sum / count;
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
            ArrayPool<int>.Shared.Return(order);
        }
    }

    private static (float Sum, float Count) Row<TTerm>(TTerm term, ReadOnlySpan<float> s, ReadOnlySpan<float> t, ReadOnlySpan<float> m, Span<float> g,
        int winner, int losers, int n, float weight) where TTerm : struct, IPairTerm
    {
        var lanes = Vector<float>.Count;
        var (sw, tw, mw) = (new Vector<float>(s[winner]), new Vector<float>(t[winner]), new Vector<float>(m[winner]));
        var (sum, count, slopes) = (Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero);
        var j = losers;
        for (; j + lanes <= n; j += lanes)
        {
            sum += term.Value(sw - new Vector<float>(s[j..]), tw - new Vector<float>(t[j..]), mw - new Vector<float>(m[j..]), out var slope, out var counts);
            count += counts;
            slopes += slope;
            (new Vector<float>(g[j..]) - slope * weight).CopyTo(g[j..]);
        }
        if (j < n)
        {
            var inside = Vector.LessThan(Places, new Vector<float>(n - j));
            var value = term.Value(sw - new Vector<float>(s[j..]), tw - new Vector<float>(t[j..]), mw - new Vector<float>(m[j..]), out var slope, out var counts);
            slope = Vector.ConditionalSelect(inside, slope, Vector<float>.Zero);
            sum += Vector.ConditionalSelect(inside, value, Vector<float>.Zero);
            count += Vector.ConditionalSelect(inside, counts, Vector<float>.Zero);
            slopes += slope;
            (new Vector<float>(g[j..]) - slope * weight).CopyTo(g[j..]);
        }
        g[winner] += Vector.Sum(slopes) * weight;
        return (Vector.Sum(sum), Vector.Sum(count));
    }
}
