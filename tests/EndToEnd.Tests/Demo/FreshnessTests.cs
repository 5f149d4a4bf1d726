using KdServing.Contracts;
using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Demo;

public class FreshnessTests
{
    private static StreamId At(long ms) => new(ms, 0);

    [Fact]
    public void A_record_is_served_by_the_first_reply_of_a_version_that_covers_it()
    {
        var measured = Freshness.Measure([At(100), At(200), At(300)],
            [new(1, At(150), 1000), new(2, At(250), 2000)]);

        // 100 → version 1 at 1000; 200 → version 2 at 2000; 300 is covered by nobody.
        Assert.Equal(900, measured.P50Ms);
        Assert.Equal(1800, measured.P99Ms);
        Assert.Equal(1, measured.Unserved);
    }

    [Fact]
    public void A_later_version_that_answers_earlier_serves_the_earlier_records_too()
    {
        var measured = Freshness.Measure([At(100)], [new(1, At(150), 5000), new(2, At(250), 2000)]);

        Assert.Equal(1900, measured.P50Ms);
        Assert.Equal(0, measured.Unserved);
    }

    [Fact]
    public void Nothing_served_is_reported_as_unserved_and_has_no_percentile()
    {
        var measured = Freshness.Measure([At(100), At(200)], []);

        Assert.Null(measured.P50Ms);
        Assert.Equal(2, measured.Unserved);
    }

    [Fact]
    public void Percentiles_are_nearest_rank()
    {
        double[] sorted = [1, 2, 3, 4];

        Assert.Equal(2, Freshness.Percentile(sorted, 0.5));
        Assert.Equal(4, Freshness.Percentile(sorted, 0.99));
        Assert.Equal(1, Freshness.Percentile(sorted, 0));
    }
}
