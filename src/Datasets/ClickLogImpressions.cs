using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>Makes an impression of a click: the clicked item as the exposed positive, sampled items beside it, running features of all.</summary>
/// <remarks>
/// An impression is a function of (seed, click) and the clicks before it. The positive stands at a random position, so that no
/// tie broken by position favours it. Buffers are reused: single-threaded.
/// </remarks>
public sealed class ClickLogImpressions
{
    private readonly DatasetDescription _dataset;
    private readonly ClickLogDescription _log;
    private readonly ClickLogState _state;
    private readonly NegativeSampler _sampler;
    private readonly (FeatureSource Source, ColumnType Type, int Position)[] _userColumns;
    private readonly string _target;
    private readonly int[] _candidates;
    private readonly float[] _logQ;
    private readonly int[] _excluded = new int[4096];
    private long[] _longs;
    private float[] _floats;
    private readonly double[] _cooccurrence;

    public ClickLogImpressions(DatasetDescription dataset, ClickLogState state)
    {
        _dataset = dataset;
        _log = dataset.ClickLog!;
        _state = state;
        _sampler = new NegativeSampler(state.Recent);
        _userColumns = [.. dataset.User.Select(source =>
        {
            var position = dataset.Columns.Select((c, i) => (c, i)).First(x => x.c.Name == source.Column).i;
            return (source, dataset.Columns[position].Type, position);
        })];
        _target = _log.Target;
        _candidates = new int[_log.Negatives + 1];
        _logQ = new float[_candidates.Length];
        _longs = new long[_candidates.Length];
        _floats = new float[_candidates.Length];
        _cooccurrence = new double[_candidates.Length];
    }

    /// <summary>Whether a click not yet observed makes an impression (see <see cref="ClickLogDescription.RequireRecent"/>).</summary>
    public bool MakesImpression(in Click click)
    {
        var clicked = _state.Find(click.Item);
        return clicked >= 0 && (!_log.RequireRecent || _state.Recent.Count(clicked) > 0);
    }

    /// <summary>The impression of a click not yet observed; null when it makes none, or when there is nothing to draw beside it.</summary>
    public Impression? Make(in Click click, CsvRow row, DatasetPart part)
    {
        if (!MakesImpression(click))
            return null;
        var clicked = _state.Find(click.Item);
        var session = _state.Sessions.ItemsOf(click.Session);
        var random = new SplitMix64(SplitMix64.Mix((ulong)click.Session) ^ SplitMix64.Mix((ulong)click.TimeMs ^ ((ulong)click.Item << 42)) ^ (ulong)_log.Seed);
        var excluded = _excluded.AsSpan(0, Math.Min(session.Length, _excluded.Length - 1) + 1);
        session[^(excluded.Length - 1)..].CopyTo(excluded);
        excluded[^1] = clicked;
        var count = _sampler.Draw(ref random, excluded, _candidates.AsSpan(1), _logQ.AsSpan(1)) + 1;
        if (count == 1)
            return null;

        var at = random.Next(count);
        (_candidates[0], _candidates[at]) = (_candidates[at], clicked);
        (_logQ[0], _logQ[at]) = (_logQ[at], 0);

        Span<byte> origin = stackalloc byte[count];
        Span<byte> states = stackalloc byte[count];
        origin.Fill((byte)CandidateOrigin.Sampled);
        states.Fill((byte)LabelState.Negative);
        origin[at] = (byte)CandidateOrigin.Exposed;
        states[at] = (byte)LabelState.Positive;
        return new Impression
        {
            RequestId = $"{click.Session}-{click.TimeMs}-{click.Item}",
            EventTimeMs = click.TimeMs,
            SessionId = click.Session,
            Part = part,
            CandidateCount = count,
            User = UserColumns(row, session),
            Item = ItemColumns(_candidates.AsSpan(0, count), click.TimeMs),
            Privileged = PrivilegedColumns(_candidates.AsSpan(0, count), click.User, session, row),
            Origin = ByteString.CopyFrom(origin),
            SamplingLogQ = _logQ[..count],
            Labels = [new TargetLabels { Target = _target, States = ByteString.CopyFrom(states) }],
        };
    }

    /// <summary>User and context columns as known before the row's click.</summary>
    public Column[] UserColumns(CsvRow row, ReadOnlySpan<int> session)
    {
        var columns = new Column[_userColumns.Length + 2];
        for (var c = 0; c < _userColumns.Length; c++)
            columns[c] = Columns.OfRow(_userColumns[c].Source.Feature, _userColumns[c].Type, _userColumns[c].Position, row);

        Span<long> recent = stackalloc long[Math.Min(_log.RecentItems, session.Length)];
        for (var i = 0; i < recent.Length; i++)
            recent[i] = _state.Items[session[^(i + 1)]].Id;
        columns[^2] = Columns.OfSequence("recent_items", recent);
        columns[^1] = Columns.OfFloat("session_clicks", session.Length);
        return columns;
    }

    /// <summary>Item columns, static and live, of items given by dense index.</summary>
    public Column[] ItemColumns(ReadOnlySpan<int> candidates, long nowMs)
    {
        if (candidates.Length > _longs.Length)
        {
            _longs = new long[candidates.Length];
            _floats = new float[candidates.Length];
        }

        var items = _state.Items;
        var columns = new Column[5];
        var longs = _longs.AsSpan(0, candidates.Length);
        var floats = _floats.AsSpan(0, candidates.Length);
        for (var i = 0; i < candidates.Length; i++)
            longs[i] = items[candidates[i]].Id;
        columns[0] = Columns.OfInts(_dataset.Item[0].Feature, longs);
        for (var i = 0; i < candidates.Length; i++)
            longs[i] = items[candidates[i]].Bucket;
        columns[1] = Columns.OfInts("item_bucket", longs);
        for (var i = 0; i < candidates.Length; i++)
            floats[i] = (nowMs - items[candidates[i]].FirstSeenMs) / 3_600_000f;
        columns[2] = Columns.OfFloats("age_hours", floats);
        for (var i = 0; i < candidates.Length; i++)
            floats[i] = _state.Recent.Count(candidates[i]);
        columns[3] = Columns.OfFloats("popularity", floats);
        for (var i = 0; i < candidates.Length; i++)
            floats[i] = _state.Recent.ShortCount(candidates[i]);
        columns[4] = Columns.OfFloats("popularity_short", floats);
        return columns;
    }

    private Column[] PrivilegedColumns(ReadOnlySpan<int> candidates, long user, ReadOnlySpan<int> session, CsvRow row)
    {
        var columns = new List<Column>(5 + _log.Segments.Count);
        var floats = _floats.AsSpan(0, candidates.Length);
        var recent = session[Math.Max(0, session.Length - _log.RecentItems)..];

        Cooccurrences(candidates, recent, latest: 1);
        for (var i = 0; i < floats.Length; i++)
            floats[i] = (float)(1000 * _cooccurrence[i]);
        columns.Add(Columns.OfFloats("cooc_last", floats));
        for (var i = 0; i < floats.Length; i++)
            floats[i] = _cooccurrence[i] == 0 ? 0 : (float)_state.Lift(_cooccurrence[i], candidates[i]);
        columns.Add(Columns.OfFloats("cooc_lift", floats));

        Cooccurrences(candidates, recent, latest: recent.Length);
        for (var i = 0; i < floats.Length; i++)
            floats[i] = (float)(1000 * _cooccurrence[i]);
        columns.Add(Columns.OfFloats("cooc_recent", floats));

        for (var i = 0; i < floats.Length; i++)
            floats[i] = (float)_state.UserBucketClicks(user, _state.Items[candidates[i]].Bucket);
        columns.Add(Columns.OfFloats("user_bucket_clicks", floats));
        for (var i = 0; i < floats.Length; i++)
            floats[i] = (float)_state.Trend(candidates[i]);
        columns.Add(Columns.OfFloats("trend", floats));

        for (var s = 0; s < _log.Segments.Count; s++)
        {
            for (var i = 0; i < floats.Length; i++)
                floats[i] = (float)_state.SegmentClicks(s, row, candidates[i]);
            columns.Add(Columns.OfFloats("popularity_by_" + _log.Segments[s], floats));
        }

        return [.. columns];
    }

    /// <summary>Mean co-occurrence of each candidate with the latest clicks; 0 when there is none yet.</summary>
    private void Cooccurrences(ReadOnlySpan<int> candidates, ReadOnlySpan<int> recent, int latest)
    {
        _cooccurrence.AsSpan(0, candidates.Length).Clear();
        var anchors = recent[Math.Max(0, recent.Length - latest)..];
        foreach (var anchor in anchors)
        {
            for (var i = 0; i < candidates.Length; i++)
                _cooccurrence[i] += _state.Cooccurrence(anchor, candidates[i]) / anchors.Length;
        }
    }
}
