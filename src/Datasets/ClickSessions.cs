namespace KdServing.Datasets;

/// <summary>The items clicked so far in every session that is not idle yet. Single-threaded.</summary>
public sealed class ClickSessions(long idleMs)
{
    private readonly Dictionary<long, Session> _sessions = [];
    private readonly Queue<(long TimeMs, long Session)> _clicks = new();

    public int Count => _sessions.Count;

    /// <summary>Items clicked so far, oldest first; valid until the next <see cref="Add"/>.</summary>
    public ReadOnlySpan<int> ItemsOf(long session) =>
        _sessions.TryGetValue(session, out var found) ? found.Items.AsSpan(0, found.Count) : [];

    /// <summary>Forgets the sessions without a click for the idle time.</summary>
    public void Advance(long nowMs)
    {
        while (_clicks.TryPeek(out var oldest) && oldest.TimeMs <= nowMs - idleMs)
        {
            _clicks.Dequeue();
            if (_sessions.TryGetValue(oldest.Session, out var session) && session.LastMs == oldest.TimeMs)
                _sessions.Remove(oldest.Session);
        }
    }

    public void Add(long session, int item, long timeMs)
    {
        if (!_sessions.TryGetValue(session, out var found))
            _sessions.Add(session, found = new Session());
        if (found.Count == found.Items.Length)
            Array.Resize(ref found.Items, found.Count * 2);
        found.Items[found.Count++] = item;
        found.LastMs = timeMs;
        _clicks.Enqueue((timeMs, session));
    }

    private sealed class Session
    {
        public int[] Items = new int[2];
        public int Count;
        public long LastMs;
    }
}
