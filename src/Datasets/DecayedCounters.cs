namespace KdServing.Datasets;

/// <summary>Counts by 64-bit key that fade with a half-life, in one flat table. Single-threaded.</summary>
/// <remarks>
/// Forward decay (Cormode, Shkapenyuk, Srivastava, Xu: "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009): an
/// event at time t adds 2^((t - origin) / half-life), a reading divides by the same weight of now; no entry is touched by time passing.
/// Entries that have faded below <see cref="Negligible"/> are dropped when the table would grow.
/// </remarks>
public sealed class DecayedCounters
{
    private const double Negligible = 0.05;

    // Past 2^512 of weight the stored values are rescaled, far from double's 2^1023.
    private const double WeightMax = 1.3e154;

    private readonly double _halfLifeMs;
    private long _originMs = long.MinValue;
    private double _weight = 1;
    private double _reciprocal = 1;
    private Entry[] _entries;
    private int _used;

    public DecayedCounters(double halfLifeHours, int capacity = 1 << 10)
    {
        _halfLifeMs = halfLifeHours * 3_600_000;
        _entries = new Entry[capacity];
    }

    /// <summary>Entries held, faded ones included.</summary>
    public int Count => _used;

    /// <summary>Sets the time of the readings and additions that follow; must not go back.</summary>
    public void Advance(long nowMs)
    {
        if (_originMs == long.MinValue)
            _originMs = nowMs;
        _weight = double.Exp2((nowMs - _originMs) / _halfLifeMs);
        if (_weight > WeightMax)
        {
            for (var i = 0; i < _entries.Length; i++)
                _entries[i].Value /= _weight;
            _originMs = nowMs;
            _weight = 1;
        }

        _reciprocal = 1 / _weight;
    }

    /// <summary>The faded count of a key, 0 if unknown.</summary>
    public double this[ulong key]
    {
        get
        {
            ref var entry = ref Find(_entries, key + 1);
            return entry.Value * _reciprocal;
        }
    }

    public void Add(ulong key, double amount = 1)
    {
        ref var entry = ref Find(_entries, key + 1);
        if (entry.KeyPlusOne == 0)
        {
            // Linear probing stays short below a load of 0.7.
            if (_used + 1 > _entries.Length * 0.7)
            {
                Rebuild();
                entry = ref Find(_entries, key + 1);
            }

            entry.KeyPlusOne = key + 1;
            _used++;
        }

        entry.Value += amount * _weight;
    }

    private void Rebuild()
    {
        var alive = 0;
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.KeyPlusOne != 0 && entry.Value * _reciprocal >= Negligible)
                alive++;
        }

        var capacity = alive > _entries.Length * 0.35 ? _entries.Length * 2 : _entries.Length;
        var entries = new Entry[capacity];
        foreach (ref var entry in _entries.AsSpan())
        {
            if (entry.KeyPlusOne != 0 && entry.Value * _reciprocal >= Negligible)
                Find(entries, entry.KeyPlusOne) = entry;
        }

        _entries = entries;
        _used = alive;
    }

    private static ref Entry Find(Entry[] entries, ulong keyPlusOne)
    {
        var mask = (ulong)entries.Length - 1;
        var slot = SplitMix64.Mix(keyPlusOne) & mask;
        while (entries[slot].KeyPlusOne != keyPlusOne && entries[slot].KeyPlusOne != 0)
            slot = (slot + 1) & mask;
        return ref entries[slot];
    }

    private struct Entry
    {
        public ulong KeyPlusOne;
        public double Value;
    }
}
