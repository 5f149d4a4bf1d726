namespace KdServing.Serving.Models;

/// <summary>What versions of one shape share, one a shape, for as long as a version uses it. Any thread.</summary>
internal sealed class SharedByShape<T> where T : IDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Entry> entries = new(StringComparer.Ordinal);

    /// <summary>All of it.</summary>
    public IReadOnlyList<T> All
    {
        get
        {
            lock (gate)
                return [.. entries.Values.Select(e => e.Value)];
        }
    }

    /// <summary>What is of this shape; give it back with <see cref="Return"/>.</summary>
    /// <param name="make">Makes the first; what it throws comes through, and nothing is taken.</param>
    public T Take(string shape, Func<T> make)
    {
        lock (gate)
        {
            if (!entries.TryGetValue(shape, out var entry))
                entries[shape] = entry = new(make());
            entry.Users++;
            return entry.Value;
        }
    }

    /// <summary>The last one to give it back frees it.</summary>
    public void Return(string shape)
    {
        lock (gate)
        {
            var entry = entries[shape];
            if (--entry.Users > 0)
                return;
            entries.Remove(shape);
            entry.Value.Dispose();
        }
    }

    private sealed class Entry(T value)
    {
        public T Value => value;

        public int Users { get; set; }
    }
}
