using KdServing.Benchmarks.Peers;

namespace KdServing.Benchmarks.Tests.Peers;

public sealed class PeerSamplesTests
{
    // The best sample of all, 3000, is one server's luck; the others of its column are not.
    [Fact]
    public void The_maximum_is_the_best_column_of_medians_not_the_best_sample()
    {
        var row = Samples.Of("kd-inline", closed:
        [
            (8, [Samples.Closed(rps: 3000), Samples.Closed(rps: 900), Samples.Closed(rps: 1000)]),
            (16, [Samples.Closed(rps: 1100), Samples.Closed(rps: 1300), Samples.Closed(rps: 1200)]),
        ]);

        Assert.Equal(1200, row.MaxRps);
        Assert.Equal([3000, 1300, 1200], row.MaxRpsByRound);
    }

    [Fact]
    public void Processor_time_a_request_is_read_where_nobody_queues_long()
    {
        (int, LoadSample[]) alone = (1, [Samples.Closed(serverUs: 300)]);
        (int, LoadSample[]) eight = (8, [Samples.Closed(serverUs: 200)]);
        (int, LoadSample[]) many = (16, [Samples.Closed(serverUs: 150)]);

        Assert.Equal([200], Samples.Of("a", closed: [alone, eight, many]).ServerUs);
        Assert.Equal([150], Samples.Of("a", closed: [alone, many]).ServerUs);
    }

    [Fact]
    public void Without_a_sample_of_one_in_flight_there_is_no_latency_of_one()
    {
        Assert.Empty(Samples.Of("a", closed: [(8, [Samples.Closed()])]).C1P50s);
        Assert.Equal([3], Samples.Of("a", closed: [(1, [Samples.Closed(p50: 3)]), (8, [Samples.Closed()])]).C1P50s);
    }

    [Theory]
    [InlineData(false, 0.15, 1, false)]
    [InlineData(false, 0.16, 0, true)]
    [InlineData(true, 0.15, 0.005, false)]
    [InlineData(true, 0, 0.006, true)]
    [InlineData(true, 0.16, 0, true)]
    public void Only_an_open_loop_is_disturbed_by_stolen_time(bool isOpen, double otherCpu, double stolenCpu, bool isDisturbed)
    {
        var sample = Samples.Closed() with { IsOpen = isOpen, OtherCpu = otherCpu, StolenCpu = stolenCpu };

        Assert.Equal(isDisturbed, sample.IsDisturbed);
    }
}
