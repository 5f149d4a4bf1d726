using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>Ranking requests as a news front page would send them: a user of the replay, candidates drawn from the last hour's clicks.</summary>
/// <remarks>
/// Candidates are distinct, in proportion to their clicks; at quiet hours the youngest items beyond the window fill up, and only if the log
/// has not seen so many items at all do some repeat. Live features are those at the replay clock. After the log's end the
/// clock stands still.
/// </remarks>
public sealed class ClickLogRequests
{
    // Users to choose from while the replay stands between two requests.
    private const int RememberedRows = 1024;

    private readonly RequestOptions _options;
    private readonly ClickColumns _columns;
    private readonly ClickLogState _state;
    private readonly ClickLogImpressions _impressions;
    private readonly NegativeSampler _sampler;
    private readonly IEnumerator<CsvRow> _rows;
    private readonly EventOrder _order;
    private readonly CsvRow[] _recentRows = new CsvRow[RememberedRows];
    private readonly int[] _candidates;
    private SplitMix64 _random;
    private long _rowsSeen;
    private long _records;
    private long _requests;
    private bool _atEnd;

    public ClickLogRequests(DatasetReader reader, RequestOptions options)
    {
        _options = options;
        _columns = new ClickColumns(reader.Description);
        _state = new ClickLogState(reader.Description, _columns, privileged: false);
        _impressions = new ClickLogImpressions(reader.Description, _state);
        _sampler = new NegativeSampler(_state.Recent);
        _order = new EventOrder(reader.Name);
        _candidates = new int[options.Candidates];
        _random = new SplitMix64(SplitMix64.Mix((ulong)options.Seed));
        foreach (var part in new[] { DatasetPart.WarmUp, DatasetPart.Preparation })
        {
            foreach (var row in reader.Rows(part))
                Observe(row);
        }

        _rows = reader.Rows(DatasetPart.Replay).GetEnumerator();
        Advance();
        while (!_atEnd && EventTimeMs < options.FromEventTimeMs)
            Advance();
        _records = 0;
        if (_rowsSeen == 0)
            throw new DatasetException($"Dataset '{reader.Name}' has no clicks to rank for.");
    }

    /// <summary>Time of the last click replayed.</summary>
    public long EventTimeMs { get; private set; }

    /// <summary>The request at an offset in seconds from the start, which must not go back.</summary>
    public RankRequest Next(double offsetSeconds)
    {
        var before = _rowsSeen;
        while (!_atEnd && IsBehind(offsetSeconds))
            Advance();

        // The user who clicked last, or while nothing new happens anyone of late.
        var remembered = (int)Math.Min(_rowsSeen, RememberedRows);
        var back = _rowsSeen > before ? 1 : 1 + _random.Next(remembered);
        var row = _recentRows[(_rowsSeen - back) & (RememberedRows - 1)];
        var session = _state.Sessions.ItemsOf(_columns.Read(row).Session);
        Fill(session);
        var request = new RankRequest
        {
            RequestId = $"rank-{_options.Seed}-{++_requests}",
            Model = _options.Model,
            SchemaFingerprint = _options.SchemaFingerprint,
            CandidateCount = _candidates.Length,
        };
        request.User.AddRange(_impressions.UserColumns(row, session));
        request.Item.AddRange(_impressions.ItemColumns(_candidates, EventTimeMs));
        return request;
    }

    private bool IsBehind(double offsetSeconds) => _options.FollowEventTimeMs is { } leader
        ? EventTimeMs < leader()
        : _records < offsetSeconds * _options.RecordsPerSecond;

    private void Advance()
    {
        if (_rows.MoveNext())
            Observe(_rows.Current);
        else
            _atEnd = true;
    }

    private void Observe(CsvRow row)
    {
        var click = _columns.Read(row);
        _order.Check(click.TimeMs);
        _state.Advance(click.TimeMs);

        // Counted as the teacher counts its records.
        if (_impressions.MakesImpression(click))
            _records++;
        _state.Observe(click, row);
        var slot = _rowsSeen++ & (RememberedRows - 1);
        if (_recentRows[slot] is { } reused)
            row.CopyTo(reused);
        else
            _recentRows[slot] = row.Copy();
        EventTimeMs = click.TimeMs;
    }

    private void Fill(ReadOnlySpan<int> session)
    {
        var count = _sampler.Draw(ref _random, session, _candidates, logQ: default);
        for (var item = _state.Items.Length - 1; item >= 0 && count < _candidates.Length; item--)
        {
            if (_state.Recent.Count(item) == 0)
                _candidates[count++] = item;
        }

        if (count == 0)
            _candidates[count++] = 0;
        for (var i = 0; count < _candidates.Length; i++)
            _candidates[count++] = _candidates[i];
    }
}
