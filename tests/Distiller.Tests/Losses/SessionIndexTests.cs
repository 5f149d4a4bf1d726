using KdServing.Distiller.Losses;
using TorchSharp;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Losses;

public sealed class SessionIndexTests
{
    private static readonly double[] Values = [1.5, 0.3, -1.0, 0.2, 0.9];

    [Fact]
    public void Pairs_are_of_one_session_and_have_a_winner()
    {
        using var scope = NewDisposeScope();

        var (winners, losers) = SessionIndex.Of([8, 8, 8, 3, 3]).Pairs(tensor(Values));

        Assert.Equal([(0, 1), (0, 2), (1, 2), (4, 3)], Numbers(winners).Zip(Numbers(losers)));
    }

    [Fact]
    public void Sessions_may_be_scattered()
    {
        using var scope = NewDisposeScope();

        var (winners, losers) = SessionIndex.Of([8, 3, 8, 3, 8]).Pairs(tensor(Values));

        Assert.Equal([(0, 2), (0, 4), (1, 3), (4, 2)], Numbers(winners).Zip(Numbers(losers)).Order());
    }

    [Fact]
    public void Equal_values_are_no_pair_and_share_a_rank()
    {
        using var scope = NewDisposeScope();
        var sessions = SessionIndex.Uniform(2, 3);
        var values = tensor(new[] { 2.0, 2.0, 1.0, 5.0, 6.0, 7.0 });

        Assert.Equal(5, sessions.Pairs(values).Winners.numel());
        Assert.Equal([0, 0, 2, 2, 1, 0], sessions.Ranks(values).data<double>());
    }

    [Fact]
    public void A_value_of_a_session_reaches_its_candidates()
    {
        using var scope = NewDisposeScope();

        Assert.Equal([10, 20, 10, 20, 10], SessionIndex.Of([8, 3, 8, 3, 8]).Spread(tensor(new[] { 10.0, 20.0 })).data<double>());
        Assert.Equal([10, 10, 20, 20], SessionIndex.Uniform(2, 2).Spread(tensor(new[] { 10.0, 20.0 })).data<double>());
    }

    // 40,000 candidates: their square would be 12.8 GB of numbers.
    [Fact]
    public void Memory_grows_with_the_sessions_not_with_the_batchs_square()
    {
        using var scope = NewDisposeScope();
        var loss = LossCatalogue.Create(Tables.Entry(""" "loss_type": "PAIRWISE_LOGISTIC_LOSS", "pairwise_logistic_loss": { "session_name": "s" } """), "kd[0]");
        var sessions = SessionIndex.Uniform(8000, 5);
        var teacher = arange(40_000, ScalarType.Float64);

        Assert.Equal(8000 * 10, sessions.Pairs(teacher).Winners.numel());
        Assert.Equal(Math.Log(2), loss.Value(zeros(40_000, ScalarType.Float64), teacher, sessions).ToDouble(), 1e-9);
    }

    private static long[] Numbers(Tensor indices) => [.. indices.data<long>()];
}
