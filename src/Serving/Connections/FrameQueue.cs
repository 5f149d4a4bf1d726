namespace KdServing.Serving.Connections;

/// <summary>Frames that wait to be sent, in order, as bytes. One thread at a time.</summary>
internal sealed class FrameQueue
{
    private byte[] bytes = [];
    private int head;
    private int tail;

    public bool IsEmpty => head == tail;

    /// <summary>Bytes.</summary>
    public int Count => tail - head;

    public void Add(ReadOnlySpan<byte> more)
    {
        if (bytes.Length - tail < more.Length)
        {
            var all = bytes.Length - (tail - head) >= more.Length ? bytes : new byte[Math.Max(4096, 2 * (tail - head + more.Length))];
            bytes.AsSpan(head..tail).CopyTo(all);
            (bytes, head, tail) = (all, 0, tail - head);
        }
        more.CopyTo(bytes.AsSpan(tail));
        tail += more.Length;
    }

    /// <summary>The frame at the head; empty when there is none.</summary>
    public ReadOnlySpan<byte> Peek() => Http2Frame.First(bytes.AsSpan(head..tail));

    public void Clear() => Remove(Count);

    public void Remove(int count)
    {
        head += count;
        if (head != tail)
            return;
        (head, tail) = (0, 0);
        // A burst's room is given back.
        if (bytes.Length > 1 << 16)
            bytes = [];
    }
}
