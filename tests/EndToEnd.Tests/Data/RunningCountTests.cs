using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

public class RunningCountTests
{
    [Fact]
    public void Recent_clicks_equal_a_recount_of_the_window()
    {
        var recent = new RecentClicks(windowMs: 5000, shortWindowMs: 700);
        var clicks = new List<(int Item, long TimeMs)>();
        var random = new SplitMix64(3);
        var nowMs = 0L;
        for (var n = 0; n < 20_000; n++)
        {
            // Bursts and lulls, so that the ring grows, empties and wraps.
            nowMs += n % 4000 < 3000 ? random.Next(2) : random.Next(400);
            recent.Advance(nowMs);
            if (n % 97 == 0)
                Compare(recent, clicks, nowMs);
            var item = random.Next(1 + random.Next(2000));
            recent.Add(item, nowMs);
            clicks.Add((item, nowMs));
        }
    }

    [Fact]
    public void Decayed_counters_equal_a_sum_of_faded_clicks()
    {
        const double halfLifeHours = 2;
        var counters = new DecayedCounters(halfLifeHours, capacity: 16);
        var clicks = new List<(ulong Key, long TimeMs)>();
        var random = new SplitMix64(5);
        var nowMs = 1_000_000_000_000L;
        for (var n = 0; n < 3000; n++)
        {
            nowMs += random.Next(60_000);
            counters.Advance(nowMs);
            var key = (ulong)random.Next(50);
            counters.Add(key);
            clicks.Add((key, nowMs));
        }

        for (var key = 0UL; key < 55; key++)
        {
            var expected = clicks.Where(c => c.Key == key).Sum(c => double.Exp2(-(nowMs - c.TimeMs) / (halfLifeHours * 3_600_000)));
            // Entries faded below 0.05 may have been dropped while the table grew.
            Assert.Equal(expected, counters[key], 0.05);
        }
    }

    // A thousand half-lives would overflow the weights; entries long faded must make room for new ones.
    [Fact]
    public void Decayed_counters_outlive_many_half_lives_in_bounded_memory()
    {
        var counters = new DecayedCounters(halfLifeHours: 1, capacity: 16);
        for (var hour = 0; hour < 5000; hour++)
        {
            counters.Advance(hour * 3_600_000L);
            counters.Add((ulong)hour);
            counters.Add((ulong)hour);
        }

        Assert.Equal(2, counters[4999], 1e-9);
        Assert.Equal(1, counters[4998], 1e-9);
        Assert.Equal(0, counters[10], 1e-9);
        Assert.True(counters.Count < 64, $"{counters.Count} entries for clicks of a few hours");
    }

    [Fact]
    public void Sessions_are_forgotten_when_idle()
    {
        var sessions = new ClickSessions(idleMs: 1000);
        sessions.Add(1, 10, 0);
        sessions.Add(2, 20, 500);
        sessions.Add(1, 11, 900);
        sessions.Advance(1600);
        Assert.Equal([10, 11], sessions.ItemsOf(1).ToArray());
        Assert.Equal(0, sessions.ItemsOf(2).Length);
        sessions.Advance(1900);
        Assert.Equal(0, sessions.Count);
    }

    private static void Compare(RecentClicks recent, List<(int Item, long TimeMs)> clicks, long nowMs)
    {
        var inWindow = clicks.Where(c => c.TimeMs > nowMs - 5000).ToList();
        Assert.Equal(inWindow.Select(c => c.Item), Enumerable.Range(0, recent.Total).Select(recent.ItemAt));
        Assert.Equal(clicks.Count(c => c.TimeMs > nowMs - 700), recent.ShortTotal);
        var counts = inWindow.GroupBy(c => c.Item).ToDictionary(g => g.Key, g => g.Count());
        Assert.Equal(counts.Keys.Order(), recent.ActiveItems.ToArray().Order());
        Assert.All(counts, c => Assert.Equal(c.Value, recent.Count(c.Key)));
        var histogram = recent.ItemsByCount.ToArray();
        for (var c = 1; c < histogram.Length; c++)
            Assert.Equal(counts.Values.Count(v => v == c), histogram[c]);
        foreach (var item in counts.Keys.Take(5))
            Assert.Equal(clicks.Count(c => c.Item == item && c.TimeMs > nowMs - 700), recent.ShortCount(item));
    }
}
