using KdServing.Benchmarks.Peers;

namespace KdServing.Benchmarks.Tests.Peers;

public sealed class PeerReportTests
{
    // Medians 1500 and 1000; the turns' ratios are 1.25, 1.6 and 3.5, whose median is another one.
    [Fact]
    public void A_goal_is_held_against_the_ratio_of_the_tables_figures()
    {
        var ours = Samples.Of("kd-inline", closed: [(8, [Samples.Closed(rps: 1500), Samples.Closed(rps: 1600), Samples.Closed(rps: 1400)])]);
        var peer = Samples.Of("cpp-async", closed: [(8, [Samples.Closed(rps: 1200), Samples.Closed(rps: 1000), Samples.Closed(rps: 400)])]);

        Assert.Contains("| kd-inline: max rps ≥ 1.5 × cpp-async | 500 | Rank | 1.50 | 1.25 to 3.50 | yes |", Goals(ours, peer));
        peer.Closed[8][1] = Samples.Closed(rps: 1001);
        Assert.Contains("| kd-inline: max rps ≥ 1.5 × cpp-async | 500 | Rank | 1.50 | 1.25 to 3.50 | no |", Goals(ours, peer));
    }

    [Fact]
    public void Latency_must_not_exceed_its_bound()
    {
        var ours = Samples.Of("kd-inline", closed: [(1, [Samples.Closed(p50: 0.75)])]);
        var peer = Samples.Of("cpp-async", closed: [(1, [Samples.Closed(p50: 1)])]);

        Assert.Contains("| kd-inline: C=1 p50 ≤ 0.75 × cpp-async | 500 | Rank | 0.75 | 0.75 to 0.75 | yes |", Goals(ours, peer));
        peer.Closed[1][0] = Samples.Closed(p50: 0.99);
        Assert.Contains("| kd-inline: C=1 p50 ≤ 0.75 × cpp-async | 500 | Rank | 0.76 | 0.76 to 0.76 | no |", Goals(ours, peer));
    }

    [Fact]
    public void Tails_at_half_of_the_own_and_of_the_others_maximum_are_goals_apart()
    {
        var ours = Samples.Of("kd-inline", closed: [(8, [Samples.Closed()])]);
        var peer = Samples.Of("cpp-async", closed: [(8, [Samples.Closed()])]);
        foreach (var (row, half, reference) in new[] { (ours, 3.0, 1.0), (peer, 2.0, 2.0) })
        {
            row.OpenHalf.Add((500, Samples.Open(half)));
            row.OpenReference.Add((500, Samples.Open(reference)));
        }

        var goals = Goals(ours, peer);

        Assert.Contains("own 50 %, p99 ≤ cpp-async | 500 | Rank | 1.50 | 1.50 to 1.50 | no |", goals);
        Assert.Contains("cpp-async's 50 %, p99 ≤ 0.6 × cpp-async | 500 | Rank | 0.50 | 0.50 to 0.50 | yes |", goals);
    }

    [Fact]
    public void Rows_are_compared_with_rows_of_the_same_request_only()
    {
        var ours = Samples.Of("kd-inline", closed: [(8, [Samples.Closed()])]);

        Assert.DoesNotContain("| kd-inline", Goals(ours));
        Assert.DoesNotContain("| kd-inline", Goals(ours, Samples.Of("cpp-async", "RankRaw", closed: [(8, [Samples.Closed()])])));
        Assert.DoesNotContain("| kd-inline", Goals(ours, Samples.Of("cpp-async", n: 1000, closed: [(8, [Samples.Closed()])])));
        Assert.Contains("| kd-inline", Goals(ours, Samples.Of("cpp-async", closed: [(8, [Samples.Closed()])])));
    }

    // 17 KB a request and less, and 96 KB, are what the goals of the gRPC layer speak of; 48 KB has none.
    [Theory]
    [InlineData(17_000, "(to 17 KB)", true)]
    [InlineData(48_000, "kd-noop: ", false)]
    [InlineData(96_000, "(96 KB)", true)]
    public void Goals_of_the_grpc_layer_are_by_size(int bytes, string words, bool isThere)
    {
        var (ours, peer) = (Row("kd-noop"), Row("cpp-noop"));

        Assert.Equal(isThere, Goals(ours, peer).Contains(words, StringComparison.Ordinal));

        PeerSamples Row(string name) => Samples.Of(name, closed: [(8, [Samples.Closed(bytes: bytes)])]);
    }

    [Fact]
    public void The_report_has_a_row_a_server_method_and_n()
    {
        var row = Samples.Of("kd-inline", closed: [(1, [Samples.Closed(rps: 900, p50: 0.5)]), (8, [Samples.Closed(rps: 1800, serverUs: 400, failures: 2)])]);
        row.OpenHalf.Add((900, Samples.Open(p99: 1.25)));

        var json = new PeerReport([row, Samples.Of("cpp-async", "RankRaw", 1000, (16, [Samples.Closed(rps: 700)]))]).Json();

        var rows = json["rows"]!.AsArray();
        Assert.Equal(
            """{"peer":"kd-inline","method":"Rank","n":500,"c1_p50_ms":0.5,"c1_p99_ms":1,"max_rps":1800,"server_cpu_us_per_request":400,"open50_rate":900,"open50_p99_ms":1.25,"request_bytes":17000,"failed":2}""",
            rows[0]!.ToJsonString());
        // What was not measured is null, not NaN, which is no JSON.
        Assert.Equal(
            """{"peer":"cpp-async","method":"RankRaw","n":1000,"c1_p50_ms":null,"c1_p99_ms":null,"max_rps":700,"server_cpu_us_per_request":100,"open50_rate":null,"open50_p99_ms":null,"request_bytes":17000,"failed":0}""",
            rows[1]!.ToJsonString());
    }

    [Fact]
    public void The_table_has_the_best_first_and_ratios_to_the_reference()
    {
        var ours = Samples.Of("kd-inline", closed: [(1, [Samples.Closed(rps: 2000, p50: 0.5, serverUs: 300)])]);
        var peer = Samples.Of("cpp-async", closed: [(1, [Samples.Closed(rps: 1000, p50: 1, serverUs: 600)])]);

        var lines = new PeerReport([peer, ours]).Tables().Split('\n').Where(l => l.StartsWith("| kd", StringComparison.Ordinal) || l.StartsWith("| cpp", StringComparison.Ordinal)).ToList();

        Assert.Equal(2, lines.Count);
        Assert.StartsWith("| kd-inline | Rank | 0.50 / 1.00 | 2000 | 300 |", lines[0]);
        Assert.Contains("| 0.50, 2.00, 0.50 | 17.0 KB |", lines[0]);
        Assert.Contains("| 1.00, 1.00, 1.00 | 17.0 KB |", lines[1]);
    }

    [Fact]
    public void Failed_and_disturbed_samples_are_counted()
    {
        var ours = Samples.Of("kd-inline", closed: [(1, [Samples.Closed(failures: 2), Samples.Closed(otherCpu: 0.2)])]);
        ours.OpenHalf.Add((1, Samples.Open(stolenCpu: 0.01)));
        ours.OpenHalf.Add((1, Samples.Open()));
        ours.OpenReference.Add((1, Samples.Open() with { Failures = 3 }));
        var report = new PeerReport([ours, Samples.Of("cpp-async", closed: [(1, [Samples.Closed()])])]);

        Assert.Equal(5, report.Failures);
        Assert.Equal([("kd-inline", 5L)], report.FailuresByPeer);
        Assert.Contains("1 of 3 samples of closed loops", report.Noise());
        Assert.Contains("1 of 3 of open loops", report.Noise());
    }

    private static string Goals(params PeerSamples[] rows) => new PeerReport(rows).Goals();
}
