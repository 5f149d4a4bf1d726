namespace KdServing.Datasets;

/// <summary>The clicks of a sliding window, with counts by item for it and for a short window at its end. Single-threaded.</summary>
/// <remarks>Adding and expiring a click are O(1); items are dense indices given by the caller.</remarks>
public sealed class RecentClicks(long windowMs, long shortWindowMs)
{
    private int[] _items = new int[1 << 12];
    private long[] _timesMs = new long[1 << 12];

    // Running numbers of clicks; slot = number & (length - 1).
    private long _first;
    private long _firstShort;
    private long _end;

    private int[] _counts = new int[1 << 10];
    private int[] _shortCounts = new int[1 << 10];
    private int[] _activePositions = new int[1 << 10];
    private int[] _active = new int[1 << 10];
    private int _activeCount;

    // _itemsByCount[c]: how many items have exactly c clicks in the window.
    private int[] _itemsByCount = new int[1 << 10];
    private int _countMax;

    /// <summary>Clicks in the window.</summary>
    public int Total => (int)(_end - _first);

    /// <summary>Clicks in the short window.</summary>
    public int ShortTotal => (int)(_end - _firstShort);

    /// <summary>Distinct items in the window, in no particular order.</summary>
    public ReadOnlySpan<int> ActiveItems => _active.AsSpan(0, _activeCount);

    /// <summary>How many items have exactly c clicks in the window, c up to the largest count.</summary>
    public ReadOnlySpan<int> ItemsByCount => _itemsByCount.AsSpan(0, _countMax + 1);

    public int Count(int item) => item < _counts.Length ? _counts[item] : 0;

    public int ShortCount(int item) => item < _shortCounts.Length ? _shortCounts[item] : 0;

    /// <summary>Item of the click at a position 0 to <see cref="Total"/> - 1, oldest first.</summary>
    public int ItemAt(int position) => _items[(_first + position) & (_items.Length - 1)];

    /// <summary>Drops the clicks that are a window or more before now.</summary>
    public void Advance(long nowMs)
    {
        var mask = _items.Length - 1;
        while (_firstShort < _end && _timesMs[_firstShort & mask] <= nowMs - shortWindowMs)
            _shortCounts[_items[_firstShort++ & mask]]--;
        while (_first < _end && _timesMs[_first & mask] <= nowMs - windowMs)
            Change(_items[_first++ & mask], -1);
        while (_countMax > 0 && _itemsByCount[_countMax] == 0)
            _countMax--;
    }

    /// <summary>Adds a click at a time not before the ones added so far.</summary>
    public void Add(int item, long timeMs)
    {
        if (Total == _items.Length)
            GrowRing();
        if (item >= _counts.Length)
            GrowItems(item);
        var slot = _end++ & (_items.Length - 1);
        _items[slot] = item;
        _timesMs[slot] = timeMs;
        _shortCounts[item]++;
        Change(item, 1);
    }

    private void Change(int item, int by)
    {
        var before = _counts[item];
        var after = before + by;
        _counts[item] = after;
        if (before == 0)
        {
            if (_activeCount == _active.Length)
                Array.Resize(ref _active, _active.Length * 2);
            _activePositions[item] = _activeCount;
            _active[_activeCount++] = item;
        }
        else
        {
            _itemsByCount[before]--;
        }

        if (after == 0)
        {
            var last = _active[--_activeCount];
            _active[_activePositions[item]] = last;
            _activePositions[last] = _activePositions[item];
            return;
        }

        if (after >= _itemsByCount.Length)
            Array.Resize(ref _itemsByCount, _itemsByCount.Length * 2);
        _itemsByCount[after]++;
        _countMax = Math.Max(_countMax, after);
    }

    private void GrowRing()
    {
        var items = new int[_items.Length * 2];
        var timesMs = new long[items.Length];
        for (var n = _first; n < _end; n++)
        {
            items[n & (items.Length - 1)] = _items[n & (_items.Length - 1)];
            timesMs[n & (items.Length - 1)] = _timesMs[n & (_items.Length - 1)];
        }

        (_items, _timesMs) = (items, timesMs);
    }

    private void GrowItems(int item)
    {
        var length = Math.Max(item + 1, _counts.Length * 2);
        Array.Resize(ref _counts, length);
        Array.Resize(ref _shortCounts, length);
        Array.Resize(ref _activePositions, length);
    }
}
