using Google.Protobuf;
using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

public class ClickLogCausalityTests
{
    [Fact]
    public void Altering_the_future_leaves_past_impressions_bit_identical()
    {
        var rows = ClickLogFixture.Rows(3000, seed: 1);
        var cut = rows[2000].TimeMs;
        var altered = rows.Select(r => r.TimeMs < cut ? r : r with { User = r.User + 7, Session = r.Session + 5, Article = 299 - r.Article }).ToList();

        var original = Before(cut, ClickLogFixture.Read(rows[..1000], rows[1000..]));
        var changed = Before(cut, ClickLogFixture.Read(altered[..1000], altered[1000..]));

        Assert.True(original.Count > 900, $"only {original.Count} impressions to compare");
        Assert.Equal(original, changed);
    }

    [Fact]
    public void Dropping_the_future_leaves_past_impressions_bit_identical()
    {
        var rows = ClickLogFixture.Rows(3000, seed: 2);
        var whole = ClickLogFixture.Read(rows[..1000], rows[1000..]).Select(Bytes).ToList();
        var cut = ClickLogFixture.Read(rows[..1000], rows[1000..2000]).Select(Bytes).ToList();

        Assert.Equal(whole[..cut.Count], cut);
    }

    [Fact]
    public void Session_size_is_never_read()
    {
        var rows = ClickLogFixture.Rows(1500, seed: 3);
        var otherSizes = rows.Select(r => r with { SessionSize = 100 - r.SessionSize }).ToList();

        Assert.Equal(
            ClickLogFixture.Read(rows[..500], rows[500..]).Select(Bytes),
            ClickLogFixture.Read(otherSizes[..500], otherSizes[500..]).Select(Bytes));
    }

    // The longest window is 60 minutes: what lies before it can not move which negatives a click gets, nor their probabilities.
    [Fact]
    public void Negatives_depend_on_seed_click_and_window_alone()
    {
        var rows = ClickLogFixture.Rows(4000, seed: 4);
        var replay = rows.FindIndex(r => r.TimeMs > rows[0].TimeMs + (3 * 3_600_000));
        var warm = ClickLogFixture.Read(rows[..replay], rows[replay..]);
        var shorter = ClickLogFixture.Read([.. rows[..replay].Where(r => r.TimeMs > rows[replay].TimeMs - 5_400_000)], rows[replay..]);
        var reseeded = ClickLogFixture.Read(rows[..replay], rows[replay..], ", \"seed\": 2");

        Assert.Equal(warm.Select(Candidates), shorter.Select(Candidates));
        Assert.NotEqual(warm.Select(Candidates), reseeded.Select(Candidates));
    }

    [Fact]
    public void Skipping_to_an_event_time_yields_the_same_impressions_from_there()
    {
        var rows = ClickLogFixture.Rows(2000, seed: 5);
        using var dataset = new TemporaryDataset(ClickLogFixture.Description());
        dataset.Write("day-1.csv", ClickLogFixture.Csv(rows[..500]));
        dataset.Write("day-2.csv.gz", ClickLogFixture.Csv(rows[500..]));
        var reader = dataset.Open();
        var from = rows[1200].TimeMs;

        var all = reader.Read(DatasetPart.Replay).Where(i => i.EventTimeMs >= from).Select(Bytes).ToList();
        Assert.NotEmpty(all);
        Assert.Equal(all, reader.Read(DatasetPart.Replay, from).Select(Bytes));
    }

    private static List<string> Before(long cutMs, IEnumerable<Impression> impressions) =>
        [.. impressions.Where(i => i.EventTimeMs < cutMs).Select(Bytes)];

    private static string Bytes(Impression impression) =>
        Convert.ToHexString(impression.ToTeacherRecord("p", 1, 1).ToByteArray());

    private static string Candidates(Impression impression) =>
        $"{impression.RequestId} {Convert.ToHexString(impression.Item[0].RawInt64.Span)} {string.Join(",", impression.SamplingLogQ)}";
}
