using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Datasets;
using static KdServing.EndToEnd.Tests.Data.ClickLogFixture;

namespace KdServing.EndToEnd.Tests.Data;

public class ClickLogFeatureTests
{
    private const long Minute = 60_000;

    // Sessions 1 and 2 click A then B; session 3 has clicked A and now clicks B. C is clicked once, long before.
    private static readonly Row[] Story =
    [
        new(7, 70, 0, Article: 33, StartMs, 1),
        new(1, 1, 0, Article: 100, StartMs + (30 * Minute), 1),
        new(1, 1, 0, Article: 200, StartMs + (31 * Minute), 1),
        new(2, 2, 0, Article: 100, StartMs + (32 * Minute), 2),
        new(2, 2, 0, Article: 200, StartMs + (33 * Minute), 2),
        new(3, 3, 0, Article: 100, StartMs + (50 * Minute), 1),
        new(3, 3, 0, Article: 200, StartMs + (51 * Minute), 1),
    ];

    private readonly Impression _last = Read(Story[..1], Story[1..]).Last();

    [Fact]
    public void The_clicked_item_is_the_one_exposed_positive()
    {
        var positive = Position(200);
        Assert.Equal(StartMs + (51 * Minute), _last.EventTimeMs);
        Assert.Equal((byte)CandidateOrigin.Exposed, _last.Origin[positive]);
        Assert.Equal((byte)LabelState.Positive, _last.LabelStates("click")[positive]);
        Assert.Equal(0, _last.SamplingLogQ[positive]);
        Assert.Equal(_last.CandidateCount - 1, _last.Origin.Count(o => o == (byte)CandidateOrigin.Sampled));
        Assert.Equal(_last.CandidateCount - 1, _last.LabelStates("click").Count((byte)LabelState.Negative));
    }

    [Fact]
    public void Negatives_leave_out_the_sessions_clicks()
    {
        // The window holds 33, 100, 200: 100 is the session's own, 200 the positive.
        Assert.Equal([33L, 200L], Longs(_last.Item, "article").Order());
        Assert.Equal(0, _last.SamplingLogQ[Position(33)]);
    }

    [Fact]
    public void Live_features_count_what_was_before_the_click()
    {
        var positive = Position(200);
        Assert.Equal(2, Floats(_last.Item, "popularity")[positive]);
        Assert.Equal(0, Floats(_last.Item, "popularity_short")[positive]);
        Assert.Equal(20 / 60f, Floats(_last.Item, "age_hours")[positive], 1e-6);
        Assert.Equal(51 / 60f, Floats(_last.Item, "age_hours")[Position(33)], 1e-6);
        Assert.Equal(200 / 16, Longs(_last.Item, "item_bucket")[positive]);
    }

    [Fact]
    public void User_features_hold_the_session_so_far()
    {
        Assert.Equal([100L], _last.User.First(c => c.Name == "recent_items").Sequences.Value);
        Assert.Equal([1f], _last.User.First(c => c.Name == "session_clicks").Floats.Value);
        Assert.Equal([3L], _last.User.First(c => c.Name == "user").Ints.Value);
        Assert.Equal([1L], _last.User.First(c => c.Name == "region").Ints.Value);
    }

    [Fact]
    public void Privileged_features_follow_their_definitions()
    {
        double Faded(double minutesAgo, double halfLifeHours = 24) => double.Exp2(-minutesAgo / 60 / halfLifeHours);
        var pairs = Faded(20) + Faded(18);
        var clicksOfA = Faded(21) + Faded(19) + Faded(1);
        var clicksOfB = Faded(20) + Faded(18);
        var clicks = clicksOfA + clicksOfB + Faded(51);
        var probability = pairs / (clicksOfA + 5);
        var positive = Position(200);

        Assert.Equal(1000 * probability, Floats(_last.Privileged, "cooc_last")[positive], 1e-2);
        Assert.Equal(1000 * probability, Floats(_last.Privileged, "cooc_recent")[positive], 1e-2);
        Assert.Equal(probability * clicks / (clicksOfB + 5), Floats(_last.Privileged, "cooc_lift")[positive], 1e-5);
        Assert.Equal(0, Floats(_last.Privileged, "cooc_last")[Position(33)]);
        Assert.Equal(Math.Log(0.5 / ((2 / 6.0) + 0.5)), Floats(_last.Privileged, "trend")[positive], 1e-5);
        Assert.Equal(Faded(20, 1), Floats(_last.Privileged, "popularity_by_region")[positive], 1e-5);

        // 100 and 200 lie in buckets 6 and 12: the user has clicked in neither 200's nor 33's.
        Assert.Equal([0f, 0f], Floats(_last.Privileged, "user_bucket_clicks"));
    }

    [Fact]
    public void A_click_on_an_item_outside_the_window_makes_no_impression_but_counts()
    {
        Row[] rows = [.. Story, new(4, 4, 0, Article: 999, StartMs + (52 * Minute), 1), new(5, 5, 0, Article: 999, StartMs + (53 * Minute), 1)];
        var impressions = Read(rows[..1], rows[1..]);

        Assert.DoesNotContain(impressions, i => i.EventTimeMs == StartMs + (52 * Minute));
        var second = impressions.Single(i => i.EventTimeMs == StartMs + (53 * Minute));
        Assert.Equal(1, Floats(second.Item, "popularity")[Longs(second.Item, "article").ToList().IndexOf(999)]);
    }

    private int Position(long article) => Longs(_last.Item, "article").ToList().IndexOf(article);

    private static long[] Longs(IReadOnlyList<Column> columns, string name) =>
        MemoryMarshal.Cast<byte, long>(columns.First(c => c.Name == name).RawInt64.Span).ToArray();

    private static float[] Floats(IReadOnlyList<Column> columns, string name) =>
        MemoryMarshal.Cast<byte, float>(columns.First(c => c.Name == name).RawFloat32.Span).ToArray();
}
