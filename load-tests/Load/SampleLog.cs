namespace KdServing.LoadTests.Load;

/// <summary>One request and what became of it. Times are nanoseconds of <see cref="MonotonicClock"/>.</summary>
/// <param name="IntendedNs">When it was to be sent.</param>
/// <param name="LatencyNs">From then to the last byte of the reply.</param>
/// <param name="SendDelayNs">From then until it was sent: this side's share.</param>
/// <param name="Version">That scored it; 0 when it was not served.</param>
internal readonly record struct Sample(long IntendedNs, long LatencyNs, int SendDelayNs, int Version, Outcome Outcome)
{
    public long DoneNs => IntendedNs + LatencyNs;

    public int LatencyUs => (int)Math.Min(int.MaxValue, LatencyNs / 1000);
}

/// <summary>Samples of one connection, in blocks that are made ahead of need: nothing is copied or collected while the clock runs. One writer.</summary>
internal sealed class SampleLog
{
    private const int BlockSamples = 1 << 16;

    private readonly List<Sample[]> blocks = [new Sample[BlockSamples]];
    private int used;

    public long Count { get; private set; }

    public void Add(in Sample sample)
    {
        if (used == BlockSamples)
        {
            blocks.Add(new Sample[BlockSamples]);
            used = 0;
        }
        blocks[^1][used++] = sample;
        Count++;
    }

    /// <summary>All samples so far, and begins anew. Not while somebody adds.</summary>
    public Sample[] Take()
    {
        var all = new Sample[Count];
        for (var b = 0; b < blocks.Count; b++)
            blocks[b].AsSpan(0, b == blocks.Count - 1 ? used : BlockSamples).CopyTo(all.AsSpan(b * BlockSamples));
        blocks.RemoveRange(1, blocks.Count - 1);
        (used, Count) = (0, 0);
        return all;
    }
}
