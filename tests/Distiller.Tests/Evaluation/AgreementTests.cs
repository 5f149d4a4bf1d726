using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Tests.Evaluation;

public sealed class AgreementTests
{
    private static readonly float[] Student = [.9f, .1f, .5f, .7f, .3f];
    private static readonly float[] Teacher = [.8f, .2f, .6f, .4f, .9f];

    [Fact]
    public void Overlap_of_the_reference_vectors()
    {
        Assert.Equal(0.5, Agreement.OverlapAt(2, Student, Teacher));
        Assert.Equal(0.66666667, Agreement.OverlapAt(3, Student, Teacher)!.Value, 1e-8);
        Assert.Null(Agreement.OverlapAt(5, Student, Teacher));
    }

    [Fact]
    public void Ties_go_to_the_lower_position()
    {
        var top = new int[3];

        Agreement.Top([1, 2, 2, 0, 2, 2], top);

        Assert.Equal([1, 2, 4], top);
    }

    [Fact]
    public void The_top_is_the_head_of_the_sorted_order()
    {
        var random = new Random(1);
        for (var round = 0; round < 100; round++)
        {
            var scores = Enumerable.Range(0, 60).Select(_ => (float)random.Next(30)).ToArray();
            var top = new int[10];
            Agreement.Top(scores, top);
            Assert.Equal(Enumerable.Range(0, 60).OrderByDescending(i => scores[i]).ThenBy(i => i).Take(10), top);
        }
    }

    [Fact]
    public void Rank_correlation_of_known_orders()
    {
        Assert.Equal(1, Agreement.RankCorrelation([1, 2, 3], [10, 20, 30])!.Value, 1e-12);
        Assert.Equal(-1, Agreement.RankCorrelation([1, 2, 3], [3, 2, 1])!.Value, 1e-12);
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]).
        Assert.Equal(0.8207826816681233, Agreement.RankCorrelation([1, 2, 3, 4, 5], [5, 6, 7, 8, 7])!.Value, 1e-12);
        Assert.Null(Agreement.RankCorrelation([1, 1, 1], [1, 2, 3]));
        Assert.Null(Agreement.RankCorrelation([1], [2]));
    }

    [Fact]
    public void Ndcg_of_known_orders()
    {
        Assert.Equal(1, Ndcg.At(10, [3, 2, 1], [1, 2, 2]));
        Assert.Equal(0.5, Ndcg.At(10, [2, 3, 1, 4], [2, 1, 2, 2]) * Math.Log2(3) / 2);
        Assert.Equal(0, Ndcg.At(1, [1, 2], [1, 2]));
        // Two positives on ranks 1 and 3 of K = 3.
        Assert.Equal((1 + 0.5) / (1 + 1 / Math.Log2(3)), Ndcg.At(3, [9, 8, 7, 6], [1, 2, 1, 2])!.Value, 1e-12);
        Assert.Null(Ndcg.At(3, [1, 2], [2, 0]));
    }
}
