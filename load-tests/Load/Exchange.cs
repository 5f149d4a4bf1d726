namespace KdServing.LoadTests.Load;

/// <summary>A request that was sent and is not answered yet.</summary>
/// <param name="Request">Its index in the pool.</param>
/// <param name="VersionSeen">Newest version that had replied when it was sent.</param>
internal readonly record struct Outstanding(int Request, long IntendedNs, long SentNs, long VersionSeen);

/// <summary>One HTTP/2 stream: a unary call, or a ranking stream with many requests under way. Guarded by its connection.</summary>
internal sealed class Exchange(int capacity)
{
    private readonly Outstanding[] ring = new Outstanding[capacity];
    private int first;

    /// <summary>0: free.</summary>
    public int Stream { get; set; }

    /// <summary>Bytes of messages the server still takes on this stream.</summary>
    public long SendWindow { get; set; }

    /// <summary>The newest request, while not all of it is sent.</summary>
    public EncodedRequest? Unsent { get; set; }

    /// <summary>Of <see cref="Unsent"/>, the next.</summary>
    public int NextFrame { get; set; }

    /// <summary>Bytes received that the server was not told of.</summary>
    public int Received { get; set; }

    public ReplyReader Reply { get; } = new();

    public int Count { get; private set; }

    public bool IsFull => Count == ring.Length;

    public Outstanding Oldest => ring[first];

    public void Open(int stream, long sendWindow)
    {
        (Stream, SendWindow, Received, Unsent) = (stream, sendWindow, 0, null);
        Reply.Reset();
    }

    public void Add(in Outstanding outstanding) => ring[(first + Count++) % ring.Length] = outstanding;

    public Outstanding Take()
    {
        var oldest = ring[first];
        first = (first + 1) % ring.Length;
        Count--;
        return oldest;
    }
}
