using System.Diagnostics;

namespace KdServing.Serving.Ranking;

/// <summary>Lets whoever waits for a core have it before a request is scored on it: now and then while it is busy. Any thread. Figures: ADR 9.</summary>
/// <remarks>
/// A thread that Linux wakes on a core where another one scores waits for that one's slice to end (3 ms) and for a timer tick to notice it (4 ms at
/// 250 Hz), even if the other core falls idle meanwhile. Those that wait so are short: clients on this machine, and what Kestrel does.
/// </remarks>
internal static class CoreSharing
{
    /// <summary>While few wait to be scored: the next reply is what matters.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(1);

    /// <summary>While so many wait that others are refused: who refuses them needs a core too, and how many are scored matters as much.</summary>
    public static readonly TimeSpan CrowdedInterval = TimeSpan.FromMilliseconds(2);

    // One timestamp a core, each in a cache line of its own.
    private const int LineStride = 64 / sizeof(long);
    private static readonly long[] Last = new long[Environment.ProcessorCount * LineStride];

    /// <summary>Call before a long piece of work.</summary>
    /// <param name="interval">How long others wait at most.</param>
    public static void LetOthersIn(TimeSpan interval)
    {
        ref var last = ref Last[Thread.GetCurrentProcessorId() % Environment.ProcessorCount * LineStride];
        if (Stopwatch.GetElapsedTime(last) < interval)
            return;
        Thread.Yield();
        last = Stopwatch.GetTimestamp();
    }
}
