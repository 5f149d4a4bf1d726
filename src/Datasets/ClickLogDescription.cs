namespace KdServing.Datasets;

/// <summary>Options for positive-only logs: which columns make a click, how negatives are drawn, how long running counts remember.</summary>
/// <remarks>
/// Derived features, by name, as schema.json refers to them. User side: <c>recent_items</c> (sequence, latest first),
/// <c>session_clicks</c> (count so far). Item side: <c>item_bucket</c> (id / <see cref="BucketSize"/>, static), <c>age_hours</c> (since first
/// seen), <c>popularity</c> and <c>popularity_short</c> (clicks in the window and the short window; all three live). Privileged side:
/// <c>cooc_last</c>, <c>cooc_recent</c> (co-occurrence with the last click, mean over the last clicks; per mille),
/// <c>cooc_lift</c>, <c>user_bucket_clicks</c>, <c>trend</c> (log ratio of short to long popularity), and for each of
/// <see cref="Segments"/> <c>popularity_by_&lt;feature&gt;</c>.
/// </remarks>
public sealed record ClickLogDescription
{
    public required string UserColumn { get; init; }

    public required string SessionColumn { get; init; }

    /// <summary>Name of the one target, positive for the clicked item.</summary>
    public string Target { get; init; } = "click";

    /// <summary>Negatives drawn for each click.</summary>
    public int Negatives { get; init; } = 50;

    public int Seed { get; init; } = 1;

    /// <summary>Candidates come from the clicks of this long.</summary>
    public int WindowMinutes { get; init; } = 60;

    public int ShortWindowMinutes { get; init; } = 10;

    /// <summary>
    /// Only clicks on items clicked within the window make impressions (all clicks update the state). Otherwise "never clicked before"
    /// would mark the positive: no negative can have that.
    /// </summary>
    public bool RequireRecent { get; init; } = true;

    /// <summary>Length of <c>recent_items</c>.</summary>
    public int RecentItems { get; init; } = 5;

    /// <summary>Ids are ordered by category: this many neighbours share a bucket.</summary>
    public int BucketSize { get; init; } = 512;

    /// <summary>User features whose values split the popularity counts.</summary>
    public IReadOnlyList<string> Segments { get; init; } = [];

    /// <summary>Half-life of co-occurrence and user × bucket counts.</summary>
    public double CooccurrenceHalfLifeHours { get; init; } = 24;

    /// <summary>Half-life of popularity by segment.</summary>
    public double SegmentHalfLifeHours { get; init; } = 1;

    /// <summary>A session without a click for this long is forgotten.</summary>
    public int SessionIdleHours { get; init; } = 12;

    internal void Validate(DatasetDescription dataset, Action<bool, string> require)
    {
        foreach (var column in new[] { UserColumn, SessionColumn, dataset.Item[0].Column })
        {
            require(
                dataset.Columns.Any(c => c.Name == column && c.Type == ColumnType.Int64),
                $"`click_log` needs column '{column}' listed in `columns` with type int64.");
        }

        require(dataset.Item.Count == 1, "`item` of a click log is the item id alone; its other features are derived.");
        require(Negatives > 0 && RecentItems > 0 && BucketSize > 0, "`click_log`: negatives, recent_items and bucket_size must be positive.");
        require(WindowMinutes > ShortWindowMinutes && ShortWindowMinutes > 0, "`click_log`: need window_minutes > short_window_minutes > 0.");
        require(CooccurrenceHalfLifeHours > 0 && SegmentHalfLifeHours > 0 && SessionIdleHours > 0, "`click_log`: half-lives and session_idle_hours must be positive.");
        foreach (var segment in Segments)
        {
            require(
                dataset.User.Any(u => u.Feature == segment && dataset.Columns.Any(c => c.Name == u.Column && c.Type == ColumnType.Int64)),
                $"`click_log.segments` names '{segment}', which is no int64 feature of `user`.");
        }
    }
}
