namespace KdServing.Serving.Connections;

/// <summary>The streams of a connection whose requests Kestrel is being sent. What comes for any other is not its. Any thread.</summary>
internal sealed class OpenBodies
{
    private readonly Lock gate = new();
    private readonly HashSet<int> streams = [];

    public bool IsEmpty
    {
        get
        {
            lock (gate)
                return streams.Count == 0;
        }
    }

    public bool Has(int stream)
    {
        lock (gate)
            return streams.Contains(stream);
    }

    public void Begin(int stream)
    {
        lock (gate)
            streams.Add(stream);
    }

    /// <summary>Its client has ended it or given it up, or Kestrel has reset it.</summary>
    public void End(int stream)
    {
        lock (gate)
            streams.Remove(stream);
    }
}
