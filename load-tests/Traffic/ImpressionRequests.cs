using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>Ranking requests for any dataset: the user of the replay's current impression, the candidates of the latest impressions together.</summary>
/// <remarks>An item shown in several of them appears several times. After the replay's end it starts over.</remarks>
public sealed class ImpressionRequests
{
    private readonly RequestOptions _options;
    private readonly DatasetReader _reader;
    private readonly Queue<Impression> _recent = new();
    private IEnumerator<Impression> _impressions;
    private int _rows;
    private long _records;
    private long _requests;
    private Impression _current;
    private bool _startedOver;

    public ImpressionRequests(DatasetReader reader, RequestOptions options)
    {
        _options = options;
        _reader = reader;
        _impressions = reader.Read(DatasetPart.Replay, options.FromEventTimeMs ?? long.MinValue).GetEnumerator();
        _current = Advance();
        while (_rows < options.Candidates)
            Advance();
        _records = 0;
    }

    /// <summary>Time of the last impression replayed.</summary>
    public long EventTimeMs => _current.EventTimeMs;

    /// <summary>The request at an offset in seconds from the start, which must not go back.</summary>
    public RankRequest Next(double offsetSeconds)
    {
        while (IsBehind(offsetSeconds))
            Advance();
        var request = new RankRequest
        {
            RequestId = $"rank-{_options.Seed}-{++_requests}",
            Model = _options.Model,
            SchemaFingerprint = _options.SchemaFingerprint,
            CandidateCount = _options.Candidates,
        };
        request.User.AddRange(_current.User);
        for (var c = 0; c < _current.Item.Count; c++)
            request.Item.Add(Gather(c));
        return request;
    }

    private bool IsBehind(double offsetSeconds) => _options.FollowEventTimeMs is { } leader
        ? !_startedOver && EventTimeMs < leader()
        : _records < offsetSeconds * _options.RecordsPerSecond;

    private Impression Advance()
    {
        if (!_impressions.MoveNext())
        {
            _startedOver = true;
            _impressions = _reader.Read(DatasetPart.Replay).GetEnumerator();
            if (!_impressions.MoveNext())
                throw new DatasetException($"Dataset '{_reader.Name}' has no impressions to rank.");
        }

        _current = _impressions.Current;
        _recent.Enqueue(_current);
        _rows += _current.CandidateCount;
        while (_rows - _recent.Peek().CandidateCount >= _options.Candidates)
            _rows -= _recent.Dequeue().CandidateCount;
        _records++;
        return _current;
    }

    private Column Gather(int position)
    {
        var first = _current.Item[position];
        switch (first.ValuesCase)
        {
            case Column.ValuesOneofCase.RawInt64:
                return new Column { Name = first.Name, RawInt64 = GatherBytes(position, sizeof(long)) };
            case Column.ValuesOneofCase.RawFloat32:
                return new Column { Name = first.Name, RawFloat32 = GatherBytes(position, sizeof(float)) };
            default:
                var texts = _recent.SelectMany(i => i.Item[position].Strings.Value).Take(_options.Candidates);
                return Columns.OfTexts(first.Name, texts);
        }
    }

    private ByteString GatherBytes(int position, int width)
    {
        var bytes = new byte[_options.Candidates * width];
        var at = 0;
        foreach (var impression in _recent)
        {
            var column = impression.Item[position];
            var rows = width == sizeof(long) ? column.RawInt64.Span : column.RawFloat32.Span;
            rows = rows[..Math.Min(rows.Length, bytes.Length - at)];
            rows.CopyTo(bytes.AsSpan(at));
            at += rows.Length;
        }

        return UnsafeByteOperations.UnsafeWrap(bytes);
    }
}
