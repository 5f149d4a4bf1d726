namespace KdServing.Datasets;

/// <summary>Refuses a log that goes back in time: running state would then have seen the future.</summary>
public sealed class EventOrder(string dataset)
{
    private long _lastMs = long.MinValue;

    /// <exception cref="DatasetException">The time is before the one checked last.</exception>
    public void Check(long timeMs)
    {
        if (timeMs < _lastMs)
            throw new DatasetException($"Dataset '{dataset}': clicks are not in event order ({timeMs} after {_lastMs}); set `time.sort` or list the files in time order.");
        _lastMs = timeMs;
    }
}
