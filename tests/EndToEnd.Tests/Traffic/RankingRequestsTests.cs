using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.EndToEnd.Tests.Data;
using KdServing.LoadTests.Traffic;

namespace KdServing.EndToEnd.Tests.Traffic;

public sealed class RankingRequestsTests : IDisposable
{
    private readonly List<ClickLogFixture.Row> _rows = ClickLogFixture.Rows(3000, seed: 1);
    private readonly TemporaryDataset _dataset = new(ClickLogFixture.Description());

    public RankingRequestsTests()
    {
        _dataset.Write("day-1.csv", ClickLogFixture.Csv(_rows[..1000]));
        _dataset.Write("day-2.csv.gz", ClickLogFixture.Csv(_rows[1000..]));
    }

    public void Dispose() => _dataset.Dispose();

    [Fact]
    public void Candidates_of_a_click_log_are_distinct_and_carry_the_live_features_of_the_replay_clock()
    {
        var requests = RankingRequests.Open(_dataset.Open(), new RequestOptions { Candidates = 60, RecordsPerSecond = 100, SchemaFingerprint = 5, Model = "m" });
        foreach (var at in new[] { 0, 1.5, 4, 10 })
        {
            var request = requests.Next(at);
            var now = requests.EventTimeMs();
            var articles = Longs(request, "article");
            Assert.Equal(60, articles.Distinct().Count());
            Assert.Equal((60, 5UL, "m"), (request.CandidateCount, request.SchemaFingerprint, request.Model));

            var seen = _rows.Where(r => r.TimeMs <= now).ToList();
            var popularity = Floats(request, "popularity");
            var shortly = Floats(request, "popularity_short");
            var age = Floats(request, "age_hours");
            for (var i = 0; i < articles.Length; i++)
            {
                // The window ends at the last click replayed.
                Assert.Equal(seen.Count(r => r.Article == articles[i] && r.TimeMs > now - 3_600_000), popularity[i]);
                Assert.Equal(seen.Count(r => r.Article == articles[i] && r.TimeMs > now - 600_000), shortly[i]);
                Assert.Equal((now - seen.First(r => r.Article == articles[i]).TimeMs) / 3_600_000f, age[i], 1e-5);
            }

            Assert.True(popularity.Average() > 1.5, "candidates should be drawn in proportion to recent clicks");
        }
    }

    [Fact]
    public void A_request_has_exactly_what_an_impression_has_but_nothing_privileged()
    {
        var request = RankingRequests.Open(_dataset.Open(), new RequestOptions { Candidates = 20 }).Next(0);
        var impression = _dataset.Open().Read(DatasetPart.Replay).First();
        Assert.Equal(impression.User.Select(c => (c.Name, c.ValuesCase)), request.User.Select(c => (c.Name, c.ValuesCase)));
        Assert.Equal(impression.Item.Select(c => (c.Name, c.ValuesCase)), request.Item.Select(c => (c.Name, c.ValuesCase)));
    }

    [Fact]
    public void More_candidates_than_the_log_knows_repeat()
    {
        var request = RankingRequests.Open(_dataset.Open(), new RequestOptions { Candidates = 2000 }).Next(0);
        var articles = Longs(request, "article");
        Assert.Equal(2000, articles.Length);
        Assert.Equal(articles.Distinct().Count(), articles.TakeWhile((a, i) => Array.IndexOf(articles, a) == i).Count());
    }

    [Fact]
    public void The_replay_clock_advances_by_records_a_second_or_follows_another_replay()
    {
        var impressions = _dataset.Open().Read(DatasetPart.Replay).ToList();
        var bySpeed = RankingRequests.Open(_dataset.Open(), new RequestOptions { Candidates = 5, RecordsPerSecond = 50, FromEventTimeMs = impressions[100].EventTimeMs });
        bySpeed.Next(0);
        Assert.Equal(impressions[100].EventTimeMs, bySpeed.EventTimeMs());
        bySpeed.Next(4);
        Assert.Equal(impressions[300].EventTimeMs, bySpeed.EventTimeMs());

        var leader = impressions[0].EventTimeMs;
        var following = RankingRequests.Open(_dataset.Open(), new RequestOptions { Candidates = 5, FollowEventTimeMs = () => leader });
        following.Next(0);
        leader = impressions[777].EventTimeMs;
        following.Next(0.001);
        Assert.Equal(leader, following.EventTimeMs());
        following.Next(1000);
        Assert.Equal(leader, following.EventTimeMs());
        leader = long.MaxValue;
        following.Next(1001);
        Assert.Equal(_rows[^1].TimeMs, following.EventTimeMs());
    }

    [Fact]
    public void Any_dataset_can_be_ranked_from_its_impressions()
    {
        var samples = SampleCatalog.FindRoot();
        var reader = DatasetReader.Open("synthetic", samples);
        var schema = FeatureSchema.Load(Path.Combine(reader.SamplePath, "schema.json"));
        var requests = RankingRequests.Open(reader, new RequestOptions { Candidates = 120, RecordsPerSecond = 10 });
        var impressions = reader.Read(DatasetPart.Replay).Take(200).ToList();
        for (var at = 0; at < 4; at++)
        {
            var request = requests.Next(at);
            var found = new Column[schema.Item.Features.Count + schema.Live.Features.Count];
            ColumnReader.Match(request.Item, "item", 120, [schema.Item, schema.Live], found);

            // Each row is a row of a recent impression, all its columns together.
            var known = impressions.SelectMany(i => Longs(i.Item, "item").Zip(Floats(i.Item, "popularity"))).ToHashSet();
            Assert.All(Longs(request, "item").Zip(Floats(request, "popularity")), row => Assert.Contains(row, known));
        }
    }

    private static long[] Longs(RankRequest request, string name) => Longs(request.Item, name);

    private static float[] Floats(RankRequest request, string name) => Floats(request.Item, name);

    private static long[] Longs(IEnumerable<Column> columns, string name) =>
        MemoryMarshal.Cast<byte, long>(columns.First(c => c.Name == name).RawInt64.Span).ToArray();

    private static float[] Floats(IEnumerable<Column> columns, string name) =>
        MemoryMarshal.Cast<byte, float>(columns.First(c => c.Name == name).RawFloat32.Span).ToArray();
}
