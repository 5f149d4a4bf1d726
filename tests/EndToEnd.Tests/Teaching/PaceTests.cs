using KdServing.LoadTests.Teaching;

namespace KdServing.EndToEnd.Tests.Teaching;

public class PaceTests
{
    // The first rate jumps to the aim: 70 % of the slower end.
    [Theory]
    [InlineData(1000, 400, 280)]
    [InlineData(300, 400, 210)]
    public void AimsAtAShareOfTheSlowerEnd(double own, double reader, double expected) =>
        Assert.Equal(expected, Pace.Next(null, own, reader), 6);

    // The Distiller has not said anything yet: half as fast as the teacher would go with an equal.
    [Fact]
    public void IsCarefulWhileTheReaderIsUnknown() => Assert.Equal(350, Pace.Next(null, 1000, null), 6);

    // Nothing measured: keep the rate.
    [Fact]
    public void KeepsTheRateWithoutAMeasurement() => Assert.Equal(123, Pace.Next(123, null, 500), 6);

    // One odd reading moves the rate by a fifth of the way only, and a lasting one arrives.
    [Fact]
    public void ApproachesANewAimSmoothly()
    {
        double rate = Pace.Next(280, 1000, 40);
        Assert.Equal(280 - 0.2 * (280 - 28), rate, 6);
        for (var second = 0; second < 40; second++)
            rate = Pace.Next(rate, 1000, 40);
        Assert.Equal(28, rate, 0.1);
    }

    // A Distiller that crawls does not stop the teacher for good.
    [Fact]
    public void NeverStops() => Assert.Equal(1, Pace.Next(null, 1000, 0.01));

    // The first three batches take ten times as long (just-in-time compilation); the capacity is that of the others.
    [Fact]
    public void CapacityLeavesOutTheFirstBatches()
    {
        var (capacity, busy) = (new Capacity(), 0.0);
        for (var batch = 0; batch < 10; batch++)
        {
            Assert.Equal(batch <= 3, capacity.PerBusySecond is null);
            capacity.Add(32, busy += batch < 3 ? 1 : 0.1);
        }
        Assert.Equal(320, capacity.PerBusySecond!.Value, 6);
    }

    [Fact]
    public void ReadsTheCapacityFromAStatusFile()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, """{ "process": "distiller", "records_per_busy_second": 512.5 }""");
            Assert.Equal(512.5, RateControl.ReaderCapacity(path));
            File.WriteAllText(path, """{ "records_per_busy_second": null }""");
            Assert.Null(RateControl.ReaderCapacity(path));
            File.WriteAllText(path, "{ cut");
            Assert.Null(RateControl.ReaderCapacity(path));
        }
        finally
        {
            File.Delete(path);
        }
        Assert.Null(RateControl.ReaderCapacity(path));
    }

    // 100 a second in batches of 10: one batch each tenth of a second.
    [Fact]
    public void BucketSpacesBatches()
    {
        var bucket = new TokenBucket { Rate = 100 };
        var (now, gone) = (0.0, 0);
        while (now < 10)
        {
            var wait = bucket.Take(10, now);
            if (wait == 0)
                gone += 10;
            now += wait;
        }
        Assert.InRange(gone, 980, 1010);
    }

    // A pause of a minute is made up for by half a second's worth, not by a minute's.
    [Fact]
    public void BucketForgetsLongPauses()
    {
        var bucket = new TokenBucket { Rate = 100 };
        bucket.Take(10, 0);
        var batches = 0;
        while (bucket.Take(10, 60) == 0)
            batches++;
        Assert.Equal(5, batches);
    }

    // A batch above the burst still goes, after its time.
    [Fact]
    public void BucketLetsLargeBatchesGo()
    {
        var bucket = new TokenBucket { Rate = 10 };
        var wait = bucket.Take(64, 0);
        Assert.Equal(6.4, wait, 6);
        Assert.Equal(0, bucket.Take(64, wait));
    }
}
