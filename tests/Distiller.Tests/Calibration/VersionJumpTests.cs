using KdServing.Distiller.Calibration;

namespace KdServing.Distiller.Tests.Calibration;

public sealed class VersionJumpTests
{
    private const double Tolerance = 0.1;
    private const int Candidates = 20;

    [Theory]
    [InlineData(2, 1)]
    [InlineData(0.4, -3)]
    [InlineData(1, 0.5)]
    [InlineData(5, 0)]
    public void A_jump_is_taken_back_to_the_scale_before(double scale, double bias)
    {
        var before = Moments(seed: 1, records: 2000, LogitMap.Identity);
        var own = Moments(seed: 2, records: 2000, new(scale, bias));

        var map = VersionJump.Find(before, own, LogitMap.Identity, Tolerance);

        Assert.NotNull(map);
        foreach (var logit in (double[])[-4, -1, 0, 2])
            Assert.InRange(map.Value.Of(scale * logit + bias), logit - 0.15, logit + 0.15);
    }

    // A shift says nothing of the scale: it is left as it was, not fitted to chance.
    [Fact]
    public void A_shift_alone_leaves_the_scale()
    {
        var map = VersionJump.Find(Moments(1, 2000, new(0.7, 0)), Moments(2, 2000, new(1, 2)), new(0.7, 0), Tolerance);

        Assert.Equal(0.7, map!.Value.Scale);
        Assert.InRange(map.Value.Bias, -1.5, -1.3);
    }

    // The candidates of a record share their user: were each taken for a witness, chance would pass for a jump.
    [Fact]
    public void Two_samples_of_one_teacher_are_no_jump_however_few_they_are()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            foreach (var records in (int[])[8, 30, 100, 1000])
                Assert.Null(VersionJump.Find(Moments(1000 + seed, 2000, LogitMap.Identity), Moments(seed, records, LogitMap.Identity), LogitMap.Identity, Tolerance));
        }
    }

    [Fact]
    public void What_is_within_tolerance_is_learned_as_it_is() =>
        Assert.Null(VersionJump.Find(Moments(1, 100_000, LogitMap.Identity), Moments(2, 100_000, new(1.03, 0.05)), LogitMap.Identity, Tolerance));

    [Fact]
    public void Too_few_records_on_either_side_decide_nothing()
    {
        var many = Moments(2, 100, LogitMap.Identity);

        Assert.Null(VersionJump.Find(many, Moments(1, 7, new(2, 9)), LogitMap.Identity, Tolerance));
        Assert.Null(VersionJump.Find(Moments(1, 31, new(2, 9)), many, LogitMap.Identity, Tolerance));
        Assert.Null(VersionJump.Find(default, many, LogitMap.Identity, Tolerance));
    }

    [Fact]
    public void A_teacher_that_says_always_the_same_is_shifted_only()
    {
        LogitMoments constant = default;
        for (var r = 0; r < 100; r++)
            constant = constant.With(5, 25);

        var map = VersionJump.Find(Moments(1, 2000, LogitMap.Identity), constant, LogitMap.Identity, Tolerance)!.Value;

        Assert.Equal(1, map.Scale);
        Assert.InRange(map.Of(5), -0.2, 0.2);
    }

    // The error of mean and spread, against what a thousand repetitions show.
    [Fact]
    public void Errors_are_those_of_repetitions()
    {
        var samples = Enumerable.Range(0, 1000).Select(s => Moments(s, 400, new(1, 2))).ToList();

        Assert.InRange(samples.Average(s => s.MeanError) / Deviation(samples.Select(s => s.Mean)), 0.9, 1.1);
        Assert.InRange(samples.Average(s => s.SpreadError) / Deviation(samples.Select(s => s.Spread)), 0.9, 1.1);

        static double Deviation(IEnumerable<double> values)
        {
            var all = values.ToList();
            var mean = all.Average();
            return Math.Sqrt(all.Sum(v => (v - mean) * (v - mean)) / (all.Count - 1));
        }
    }

    // Logits of unit spread within a record, records of unit spread among themselves.
    private static LogitMoments Moments(int seed, int records, LogitMap said)
    {
        var random = new Random(seed);
        LogitMoments moments = default;
        for (var r = 0; r < records; r++)
        {
            var (user, sum, squares) = (Normal(random), 0.0, 0.0);
            for (var i = 0; i < Candidates; i++)
            {
                var logit = said.Of(user + Normal(random));
                (sum, squares) = (sum + logit, squares + logit * logit);
            }
            moments = moments.With(sum / Candidates, squares / Candidates);
        }
        return moments;
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
