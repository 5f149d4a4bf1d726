using KdServing.Distiller.Offline;

namespace KdServing.Distiller.Tests.Offline;

public sealed class SpreadTests
{
    [Fact]
    public void Spread_is_the_sample_standard_deviation_of_what_is_known()
    {
        var spread = Spread.Of([1, null, 2, 3, double.NaN]);

        Assert.Equal(2, spread.Mean);
        Assert.Equal(1, spread.Sd);
        Assert.Equal(new(5, null), Spread.Of([5]));
    }

    [Fact]
    public void The_interval_is_students()
    {
        // 4 degrees of freedom: 2.776 · √2.5 / √5.
        var mean = PairedMean.Of([1, 2, 3, 4, 5])!;

        Assert.Equal(3, mean.Mean);
        Assert.Equal(3 - 2.776 * Math.Sqrt(2.5) / Math.Sqrt(5), mean.Lo95, 1e-12);
        Assert.Equal(3 + 2.776 * Math.Sqrt(2.5) / Math.Sqrt(5), mean.Hi95, 1e-12);
        Assert.Null(PairedMean.Of([1]));
    }

    [Fact]
    public void The_transfer_ratio_is_paired_by_seed()
    {
        var ratio = PairedMean.TransferRatio(0.98, [(0.975, 0.97), (0.976, 0.972), (0.9735, 0.968)])!;

        Assert.Equal((0.5 + 0.5 + 5.5 / 12) / 3, ratio.Mean, 1e-9);
    }

    [Theory]
    [InlineData(0.9701)]
    [InlineData(0.96)]
    public void A_gap_within_the_noise_has_no_transfer_ratio(double teacher) =>
        Assert.Null(PairedMean.TransferRatio(teacher, [(0.975, 0.969), (0.976, 0.971)]));

    [Fact]
    public void An_epochs_order_is_a_permutation_of_its_own()
    {
        var (first, second) = (Distiller.Training.SampleOrder.Of(1000, 1, 0), Distiller.Training.SampleOrder.Of(1000, 1, 1));

        Assert.Equal(Enumerable.Range(0, 1000), first.Order());
        Assert.Equal(first, Distiller.Training.SampleOrder.Of(1000, 1, 0));
        Assert.InRange(first.Zip(second).Count(p => p.First == p.Second), 0, 10);
    }
}
