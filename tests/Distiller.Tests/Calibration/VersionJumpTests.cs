using KdServing.Distiller.Calibration;

namespace KdServing.Distiller.Tests.Calibration;

public sealed class VersionJumpTests
{
    private const int Candidates = 20;

    private static readonly TeacherCalibrationConfig Config = new() { WindowRecords = 1000 };

    [Theory]
    [InlineData(2, 1)]
    [InlineData(0.4, -3)]
    [InlineData(1, 0.5)]
    [InlineData(5, 0)]
    public void A_jump_is_taken_back_to_the_scale_before(double scale, double bias)
    {
        var before = Learned(seed: 1, records: 5000, LogitMap.Identity);
        var own = Moments(seed: 2, records: 2000, new(scale, bias));

        var map = VersionJump.Find(before, own, LogitMap.Identity, Config);

        Assert.NotNull(map);
        foreach (var logit in (double[])[-4, -1, 0, 2])
            Assert.InRange(map.Value.Of(scale * logit + bias), logit - 0.15, logit + 0.15);
    }

    // A shift says nothing of the scale: it is left as it was, not fitted to chance.
    [Fact]
    public void A_shift_alone_leaves_the_scale()
    {
        var map = VersionJump.Find(Learned(1, 5000, new(0.7, 0)), Moments(2, 2000, new(1, 2)), new(0.7, 0), Config);

        Assert.Equal(0.7, map!.Value.Scale);
        Assert.InRange(map.Value.Bias, -1.5, -1.3);
    }

    [Fact]
    public void Two_samples_of_one_teacher_are_no_jump_however_few_they_are()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            foreach (var records in (int[])[8, 30, 100, 1000])
                Assert.Null(VersionJump.Find(Learned(1000 + seed, 2000, LogitMap.Identity), Moments(seed, records, LogitMap.Identity), LogitMap.Identity, Config));
        }
    }

    // Real traffic: the logits wander, by hours and by news. A version that comes in the middle of it is not to blame.
    [Fact]
    public void Where_the_logits_wander_by_themselves_only_a_jump_beyond_that_is_one()
    {
        for (var seed = 0; seed < 100; seed++)
        {
            LearnedLogits before = default;
            var (random, level) = (new Random(seed), 0.0);
            for (var r = 0; r < 10_000; r++)
                before = Next(before, random, new(1, level = 0.998 * level + 0.02 * Normal(random)));
            LogitMoments same = default, other = default;
            for (var r = 0; r < 1000; r++)
            {
                var (mean, square) = Record(random, new(1, level = 0.998 * level + 0.02 * Normal(random)));
                (same, other) = (same.With(mean, square), other.With(mean + 3, square + 6 * mean + 9));
            }
            Assert.True(before.Moves.OfMean > 0.1);
            Assert.Null(VersionJump.Find(before, same, LogitMap.Identity, Config));
            Assert.NotNull(VersionJump.Find(before, other, LogitMap.Identity, Config));
        }
    }

    // What its first records gave away, later ones do not take back: the map would jump.
    [Fact]
    public void A_jump_once_found_stays_one_of_its_kind()
    {
        var (before, own) = (Learned(1, 5000, LogitMap.Identity), Moments(2, 2000, new(1.02, 0.03)));

        Assert.Null(VersionJump.Find(before, own, LogitMap.Identity, Config));
        Assert.Equal(1, VersionJump.Find(before, own, LogitMap.Identity, Config, found: new(1, -1))!.Value.Scale);
        Assert.NotEqual(1, VersionJump.Find(before, own, LogitMap.Identity, Config, found: new(0.5, -1))!.Value.Scale);
    }

    [Fact]
    public void What_is_within_tolerance_is_learned_as_it_is() =>
        Assert.Null(VersionJump.Find(Learned(1, 100_000, LogitMap.Identity), Moments(2, 100_000, new(1.02, 0.03)), LogitMap.Identity, Config));

    [Fact]
    public void Too_few_records_on_either_side_decide_nothing()
    {
        var many = Learned(2, 5000, LogitMap.Identity);

        Assert.Null(VersionJump.Find(many, Moments(1, 7, new(2, 9)), LogitMap.Identity, Config));
        Assert.Null(VersionJump.Find(Learned(1, 999, LogitMap.Identity), Moments(1, 100, new(2, 9)), LogitMap.Identity, Config));
        Assert.NotNull(VersionJump.Find(many, Moments(1, 8, new(2, 9)), LogitMap.Identity, Config));
        Assert.Null(VersionJump.Find(default, Moments(1, 100, new(2, 9)), LogitMap.Identity, Config));
    }

    [Fact]
    public void A_teacher_that_says_always_the_same_is_shifted_only()
    {
        LogitMoments constant = default;
        for (var r = 0; r < 100; r++)
            constant = constant.With(5, 25);

        var map = VersionJump.Find(Learned(1, 5000, LogitMap.Identity), constant, LogitMap.Identity, Config)!.Value;

        Assert.Equal(1, map.Scale);
        Assert.InRange(map.Of(5), -0.2, 0.2);
    }

    private static LearnedLogits Learned(int seed, int records, LogitMap said)
    {
        var random = new Random(seed);
        LearnedLogits learned = default;
        for (var r = 0; r < records; r++)
            learned = Next(learned, random, said);
        return learned;
    }

    private static LogitMoments Moments(int seed, int records, LogitMap said)
    {
        var random = new Random(seed);
        LogitMoments moments = default;
        for (var r = 0; r < records; r++)
        {
            var (mean, square) = Record(random, said);
            moments = moments.With(mean, square);
        }
        return moments;
    }

    private static LearnedLogits Next(LearnedLogits learned, Random random, LogitMap said)
    {
        var (mean, square) = Record(random, said);
        return learned.With(mean, square, Config);
    }

    // Logits of unit spread within a record, records of unit spread among themselves.
    private static (double Mean, double Square) Record(Random random, LogitMap said)
    {
        var (user, sum, squares) = (Normal(random), 0.0, 0.0);
        for (var i = 0; i < Candidates; i++)
        {
            var logit = said.Of(user + Normal(random));
            (sum, squares) = (sum + logit, squares + logit * logit);
        }
        return (sum / Candidates, squares / Candidates);
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
