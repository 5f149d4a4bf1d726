using KdServing.Distiller.Evaluation;

namespace KdServing.Distiller.Tests.Evaluation;

public sealed class PoissonBootstrapTests
{
    [Fact]
    public void The_interval_is_that_of_the_central_limit_theorem()
    {
        var bootstrap = new PoissonBootstrap(seed: 1);
        var values = Values(5000, seed: 3);
        foreach (var value in values)
            bootstrap.Add(value);

        var (low, high) = bootstrap.Interval95()!.Value;

        var mean = values.Average();
        var error = Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / values.Length / values.Length);
        Assert.Equal(mean, bootstrap.Mean, 1e-12);
        // A percentile of 1000 resamples is itself uncertain by about 5 %.
        Assert.InRange((mean - low) / error, 1.96 * 0.85, 1.96 * 1.15);
        Assert.InRange((high - mean) / error, 1.96 * 0.85, 1.96 * 1.15);
    }

    [Fact]
    public void The_interval_holds_the_true_mean_as_often_as_it_says()
    {
        var held = 0;
        for (var run = 0; run < 400; run++)
        {
            var bootstrap = new PoissonBootstrap((ulong)run);
            foreach (var value in Values(200, seed: run))
                bootstrap.Add(value);
            var (low, high) = bootstrap.Interval95()!.Value;
            held += low <= 0 && 0 <= high ? 1 : 0;
        }

        // 380 expected; Binomial(400, 0.95) ± 4 standard deviations, and a bootstrap of 200 is slightly short.
        Assert.InRange(held, 358, 397);
    }

    [Fact]
    public void Equal_input_gives_an_equal_interval_also_across_a_restart()
    {
        var values = Values(300, seed: 5);
        var whole = new PoissonBootstrap(9);
        var first = new PoissonBootstrap(9);
        foreach (var value in values)
            whole.Add(value);
        foreach (var value in values[..123])
            first.Add(value);
        using var stream = new MemoryStream();
        first.Save(new BinaryWriter(stream));
        stream.Position = 0;

        var second = new PoissonBootstrap(9);
        second.Restore(new BinaryReader(stream));
        foreach (var value in values[123..])
            second.Add(value);

        Assert.Equal(whole.Interval95(), second.Interval95());
        Assert.Equal(whole.Mean, second.Mean);
    }

    [Fact]
    public void Few_sessions_have_no_interval()
    {
        var bootstrap = new PoissonBootstrap(1);
        for (var i = 0; i < PoissonBootstrap.MinSessions - 1; i++)
            bootstrap.Add(i);
        Assert.Null(bootstrap.Interval95());
        bootstrap.Add(1);
        Assert.NotNull(bootstrap.Interval95());
    }

    // Skewed, as differences of AUC are; mean 0.
    private static double[] Values(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => -Math.Log(1 - random.NextDouble()) - 1)];
    }
}
