namespace KdServing.LoadTests.Load;

/// <summary>The newest version that has replied, over all connections. Any thread.</summary>
internal sealed class VersionsSeen
{
    private long newest;

    public long Newest => Volatile.Read(ref newest);

    public void Saw(long version)
    {
        for (var known = Newest; version > known; known = Newest)
            Interlocked.CompareExchange(ref newest, version, known);
    }
}
