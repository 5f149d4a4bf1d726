namespace KdServing.Datasets;

/// <summary>Where a click's values stand in a row, resolved once from the description.</summary>
public sealed class ClickColumns
{
    private readonly int _user;
    private readonly int _session;
    private readonly int _item;
    private readonly int _time;
    private readonly TimeDescription _timeDescription;
    private readonly int[] _segments;

    public ClickColumns(DatasetDescription dataset)
    {
        var log = dataset.ClickLog ?? throw new ArgumentException("The dataset is no click log.", nameof(dataset));
        int Position(string column) => dataset.Columns.Select((c, i) => (c, i)).First(x => x.c.Name == column).i;
        _user = Position(log.UserColumn);
        _session = Position(log.SessionColumn);
        _item = Position(dataset.Item[0].Column);
        _timeDescription = dataset.Time!;
        _time = Position(_timeDescription.Column);
        _segments = [.. log.Segments.Select(s => Position(dataset.User.First(u => u.Feature == s).Column))];
    }

    public Click Read(CsvRow row) =>
        new(row.Ints[_user], row.Ints[_session], row.Ints[_item], _timeDescription.ToMs(row.Ints[_time]));

    /// <summary>Value of the s-th of <see cref="ClickLogDescription.Segments"/>.</summary>
    public long Segment(CsvRow row, int s) => row.Ints[_segments[s]];
}

/// <summary>One click: who, in which session, on what, when.</summary>
public readonly record struct Click(long User, long Session, long Item, long TimeMs);
