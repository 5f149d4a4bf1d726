namespace KdServing.Serving.Catalog;

/// <summary>How often each slot was asked for in the last minute: what is encoded first, and when a version covers enough.</summary>
/// <remarks>
/// Four windows of 20 s: the running one and the three before, so 60 to 80 s. Requests count from any thread without a lock: a count that
/// two threads write at once loses one, which a sample can bear. Under load only every k-th request is counted.
/// </remarks>
internal sealed class RequestCounts
{
    public static readonly TimeSpan Window = TimeSpan.FromSeconds(20);

    private const int Windows = 4;
    // A sample of 200 requests/s × 60 s knows the share of an item asked for in one of 1000 requests to about a hundredth.
    private const int CountedPerSecond = 200;

    private readonly ushort[][] counts = new ushort[Windows][];
    private int running;
    private int seen;
    private int seenBefore;
    private int stride = 1;

    public RequestCounts()
    {
        for (var w = 0; w < Windows; w++)
            counts[w] = new ushort[1024];
    }

    /// <summary>Counts a request's candidates; those below 0 are unknown. Any thread.</summary>
    public void Count(ReadOnlySpan<int> slots)
    {
        if ((uint)Interlocked.Increment(ref seen) % (uint)Volatile.Read(ref stride) != 0)
            return;
        var window = Volatile.Read(ref counts[Volatile.Read(ref running)]);
        foreach (var slot in slots)
        {
            // A slot newer than the array: counted from the next request on.
            if ((uint)slot < (uint)window.Length && window[slot] < ushort.MaxValue)
                window[slot]++;
        }
    }

    /// <summary>Counts in the last minute. The writer only, as everything below.</summary>
    public int Of(int slot)
    {
        var sum = 0;
        foreach (var window in counts)
            sum += slot < window.Length ? window[slot] : 0;
        return sum;
    }

    public void Reserve(int slots)
    {
        for (var w = 0; w < Windows; w++)
        {
            if (counts[w].Length >= slots)
                continue;
            var grown = counts[w];
            Array.Resize(ref grown, Math.Max(slots, counts[w].Length * 2));
            Volatile.Write(ref counts[w], grown);
        }
    }

    /// <summary>An item moves to another slot and stays as popular as it was; <paramref name="from"/> below 0: it is new.</summary>
    public void Move(int from, int to)
    {
        foreach (var window in counts)
            window[to] = from < 0 ? (ushort)0 : window[from];
    }

    /// <summary>Begins the next window; call it every <see cref="Window"/>.</summary>
    public void Rotate()
    {
        var next = (running + 1) % Windows;
        Array.Clear(counts[next]);
        Volatile.Write(ref running, next);
    }

    /// <summary>Sets the share of requests counted by the rate of the last second; call it once a second.</summary>
    public void Adjust()
    {
        var now = Volatile.Read(ref seen);
        Volatile.Write(ref stride, Math.Max(1, (now - seenBefore) / CountedPerSecond));
        seenBefore = now;
    }
}
