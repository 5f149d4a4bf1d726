namespace KdServing.LoadTests.Demo;

/// <summary>The time in which a swap can disturb requests: from the start of loading to 250 ms after the old version is disposed.</summary>
internal readonly record struct SwapWindow(long FromMs, long ToMs)
{
    public const long AfterDisposalMs = 250;

    /// <summary>True when something that lasted from one time to the other met the swap.</summary>
    public bool Overlaps(long fromMs, long toMs) => fromMs <= ToMs && toMs >= FromMs;
}
