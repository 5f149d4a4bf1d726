using FsCheck;
using FsCheck.Fluent;
using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Tests.Evaluation;

public sealed class AucTests
{
    [Fact]
    public void Known_values()
    {
        Assert.Equal(1.0, Auc.Of([3, 2, 1], [1, 2, 2]));
        Assert.Equal(0.0, Auc.Of([1, 2, 3], [1, 2, 2]));
        Assert.Equal(0.5, Auc.Of([1, 1, 1], [1, 2, 2]));
        // scikit-learn's example: y = 0 0 1 1, scores .1 .4 .35 .8.
        Assert.Equal(0.75, Auc.Of([.1f, .4f, .35f, .8f], [2, 2, 1, 1]));
    }

    [Fact]
    public void Without_both_classes_there_is_none()
    {
        Assert.Null(Auc.Of([], []));
        Assert.Null(Auc.Of([1, 2], [1, 1]));
        Assert.Null(Auc.Of([1, 2], [2, 2]));
        Assert.Null(Auc.Of([1, 2], [1, 0]));
    }

    [Fact]
    public void Counting_pairs_and_sorting_agree_with_the_definition() => Prop.ForAll<int[]>(seeds =>
    {
        foreach (var size in (int[])[3, 40, 400])
        {
            var random = new Random(seeds.Aggregate(size, HashCode.Combine));
            var scores = Enumerable.Range(0, size).Select(_ => (float)random.Next(size / 2)).ToArray();
            var states = Enumerable.Range(0, size).Select(_ => (byte)random.Next(3)).ToArray();
            var (wins, pairs) = (0.0, 0L);
            for (var p = 0; p < size; p++)
            {
                for (var n = 0; n < size; n++)
                {
                    if (states[p] != 1 || states[n] != 2)
                        continue;
                    pairs++;
                    wins += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
                }
            }
            if (pairs == 0)
                Assert.Null(Auc.Of(scores, states));
            else
                Assert.Equal(wins / pairs, Auc.Of(scores, states)!.Value, 1e-12);
        }
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_histogram_is_within_its_bound_of_the_exact_value()
    {
        var random = new Random(7);
        var states = Enumerable.Range(0, 20_000).Select(_ => (byte)(random.Next(4) == 0 ? 1 : 2)).ToArray();
        var logits = states.Select(s => (float)(random.NextDouble() + random.NextDouble() + (s == 1 ? 0.3 : 0))).ToArray();
        var histogram = new HistogramAuc();
        for (var i = 0; i < logits.Length; i++)
            histogram.Add(logits[i], states[i] == 1);

        var error = Math.Abs(Auc.Of(logits, states)!.Value - histogram.Value!.Value);

        Assert.InRange(histogram.ErrorBound, 1e-6, 1e-3);
        Assert.InRange(error, 0, histogram.ErrorBound);
        // In practice the order within a bin is mixed.
        Assert.InRange(error, 0, 2e-5);
    }

    [Fact]
    public void The_histogram_takes_any_logit()
    {
        var histogram = new HistogramAuc();
        foreach (var logit in (float[])[float.MinValue, -40, -32])
            histogram.Add(logit, isPositive: false);
        foreach (var logit in (float[])[32, 40, float.MaxValue])
            histogram.Add(logit, isPositive: true);

        Assert.Equal(1.0, histogram.Value);
    }
}
