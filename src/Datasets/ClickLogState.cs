using System.Runtime.InteropServices;

namespace KdServing.Datasets;

/// <summary>What is known from the clicks observed so far. Every click costs O(1); nothing is read ahead. Single-threaded.</summary>
/// <remarks>
/// Use, for each click in event order: <c>Advance(now)</c>, read features, <c>Observe(click)</c>. Features read in
/// between depend on earlier clicks only.
/// </remarks>
public sealed class ClickLogState
{
    // Co-occurrence pairs a click with at most so many earlier clicks of its session: bounds the cost of crawler-like sessions.
    private const int PairsPerClick = 10;

    // Conditional probabilities are shrunk towards 0 by this many clicks without a follower.
    private const double PriorClicks = 5;

    private const ulong AllClicks = ulong.MaxValue - 1;

    private readonly ClickColumns _columns;
    private readonly int _segments;
    private readonly long _bucketSize;
    private readonly bool _privileged;
    private readonly Dictionary<long, int> _indices = [];
    private readonly List<ItemFacts> _items = [];
    private readonly DecayedCounters _pairs;
    private readonly DecayedCounters _clicks;
    private readonly DecayedCounters _userBuckets;
    private readonly DecayedCounters _segmentClicks;
    private readonly double _shortShare;

    /// <param name="dataset">A click log.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="privileged">Whether to keep the counts behind the privileged features, the costly part.</param>
    public ClickLogState(DatasetDescription dataset, ClickColumns columns, bool privileged = true)
    {
        var log = dataset.ClickLog!;
        _columns = columns;
        _segments = log.Segments.Count;
        _bucketSize = log.BucketSize;
        _privileged = privileged;
        _shortShare = (double)log.ShortWindowMinutes / log.WindowMinutes;
        Recent = new RecentClicks(log.WindowMinutes * 60_000L, log.ShortWindowMinutes * 60_000L);
        Sessions = new ClickSessions(log.SessionIdleHours * 3_600_000L);
        _pairs = new DecayedCounters(log.CooccurrenceHalfLifeHours);
        _clicks = new DecayedCounters(log.CooccurrenceHalfLifeHours);
        _userBuckets = new DecayedCounters(log.CooccurrenceHalfLifeHours);
        _segmentClicks = new DecayedCounters(log.SegmentHalfLifeHours);
    }

    /// <summary>Clicks of the last window.</summary>
    public RecentClicks Recent { get; }

    public ClickSessions Sessions { get; }

    /// <summary>Facts of every item seen, by dense index.</summary>
    public ReadOnlySpan<ItemFacts> Items => CollectionsMarshal.AsSpan(_items);

    /// <summary>Dense index of an item, -1 if it was never clicked.</summary>
    public int Find(long item) => _indices.TryGetValue(item, out var index) ? index : -1;

    /// <summary>Sets the time of the readings that follow; must not go back.</summary>
    public void Advance(long nowMs)
    {
        Recent.Advance(nowMs);
        Sessions.Advance(nowMs);
        if (!_privileged)
            return;
        _pairs.Advance(nowMs);
        _clicks.Advance(nowMs);
        _userBuckets.Advance(nowMs);
        _segmentClicks.Advance(nowMs);
    }

    /// <summary>Learns a click that happens now, at the time given to <see cref="Advance"/>.</summary>
    public void Observe(in Click click, CsvRow row)
    {
        ref var index = ref CollectionsMarshal.GetValueRefOrAddDefault(_indices, click.Item, out var known);
        if (!known)
        {
            index = _items.Count;
            _items.Add(new ItemFacts(click.Item, Math.DivRem(click.Item, _bucketSize).Quotient, click.TimeMs));
        }

        var item = index;
        if (_privileged)
            Count(click, item, row);
        Sessions.Add(click.Session, item, click.TimeMs);
        Recent.Add(item, click.TimeMs);
    }

    /// <summary>How often an item is clicked in the same session as another: an estimate of P(item | other), 0 to 1.</summary>
    public double Cooccurrence(int other, int item) => _pairs[PairKey(other, item)] / (_clicks[(ulong)other] + PriorClicks);

    /// <summary>Co-occurrence relative to the item's share of all clicks: 1 when the two are independent.</summary>
    public double Lift(double cooccurrence, int item) =>
        cooccurrence * _clicks[AllClicks] / (_clicks[(ulong)item] + PriorClicks);

    /// <summary>Clicks of a user on the items of a bucket, faded.</summary>
    public double UserBucketClicks(long user, long bucket) => _userBuckets[UserBucketKey(user, bucket)];

    /// <summary>Clicks on an item by users of the same segment value, faded.</summary>
    public double SegmentClicks(int segment, CsvRow row, int item) => _segmentClicks[SegmentKey(segment, row, item)];

    /// <summary>Log ratio of an item's pace in the short window to its pace in the window; 0 when steady.</summary>
    public double Trend(int item) => Math.Log((Recent.ShortCount(item) + 0.5) / ((Recent.Count(item) * _shortShare) + 0.5));

    private void Count(in Click click, int item, CsvRow row)
    {
        var earlier = Sessions.ItemsOf(click.Session);
        for (var i = earlier.Length - 1; i >= Math.Max(0, earlier.Length - PairsPerClick); i--)
        {
            if (earlier[i] == item)
                continue;
            _pairs.Add(PairKey(earlier[i], item));
            _pairs.Add(PairKey(item, earlier[i]));
        }

        _clicks.Add((ulong)item);
        _clicks.Add(AllClicks);
        _userBuckets.Add(UserBucketKey(click.User, _items[item].Bucket));
        for (var s = 0; s < _segments; s++)
            _segmentClicks.Add(SegmentKey(s, row, item));
    }

    private static ulong PairKey(int first, int second) => ((ulong)first << 32) | (uint)second;

    private static ulong UserBucketKey(long user, long bucket) => SplitMix64.Mix((ulong)user) ^ (ulong)bucket;

    private ulong SegmentKey(int segment, CsvRow row, int item) =>
        SplitMix64.Mix(((ulong)_columns.Segment(row, segment) << 8) | (uint)segment) ^ (ulong)item;
}

/// <summary>What never changes about an item once it has been clicked.</summary>
public readonly record struct ItemFacts(long Id, long Bucket, long FirstSeenMs);
