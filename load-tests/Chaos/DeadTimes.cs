using System.Diagnostics;

namespace KdServing.LoadTests.Chaos;

/// <summary>Spans of time in which a part was dead by our hand. Thread-safe.</summary>
internal sealed class DeadTimes
{
    private readonly Lock gate = new();
    private readonly List<(long From, long To)> spans = [];

    /// <summary>It is about to be killed.</summary>
    public void Begin()
    {
        lock (gate)
            spans.Add((Stopwatch.GetTimestamp(), long.MaxValue));
    }

    /// <summary>It works again.</summary>
    public void End()
    {
        lock (gate)
            spans[^1] = (spans[^1].From, Stopwatch.GetTimestamp());
    }

    /// <summary>Whether it was dead at some moment of a span that ends now.</summary>
    /// <param name="since">A timestamp of <see cref="Stopwatch"/>.</param>
    public bool Overlaps(long since)
    {
        var now = Stopwatch.GetTimestamp();
        lock (gate)
            return spans.Any(s => s.From <= now && s.To >= since);
    }
}
