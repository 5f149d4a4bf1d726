namespace KdServing.Serving.Connections;

/// <summary>The flow-control window that a client gives a connection (RFC 9113, section 5.2), on which Kestrel's bodies and ours draw. Guarded by its owner.</summary>
/// <remarks>Kestrel thinks that it draws on it alone: of what the client gives it is told what it has used itself, so that what it thinks never exceeds what the client has ever had room for.</remarks>
internal sealed class SharedWindow
{
    /// <summary>What a client takes before it has said how much it takes (section 6.9.2), of a stream and of a connection.</summary>
    public const int Initial = 65_535;

    // Bytes of bodies that may be sent; the most that ever was; and what Kestrel thinks that it may send.
    private long open = Initial;
    private long largest = Initial;
    private long kestrels = Initial;

    /// <summary>The client takes more.</summary>
    /// <returns>How much of it Kestrel is to be told.</returns>
    public int Add(int bytes)
    {
        open += bytes;
        largest = Math.Max(largest, open);
        var told = (int)Math.Clamp(largest - kestrels, 0, bytes);
        kestrels += told;
        return told;
    }

    /// <summary>Kestrel has written a frame: it thinks that it is sent.</summary>
    public void KestrelWrote(in Http2Frame frame)
    {
        if (frame.Type == FrameType.Data)
            kestrels -= frame.Length;
    }

    /// <returns>False: the frame is a body that exceeds the window.</returns>
    public bool TryTake(in Http2Frame frame)
    {
        if (frame.Type != FrameType.Data)
            return true;
        if (frame.Length > open)
            return false;
        open -= frame.Length;
        return true;
    }
}
