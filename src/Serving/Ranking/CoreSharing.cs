using System.Diagnostics;

namespace KdServing.Serving.Ranking;

/// <summary>Lets whoever waits for a core have it before a request is scored on it: at least once a millisecond of a busy core. Any thread. Figures: ADR 9.</summary>
/// <remarks>
/// A thread that Linux wakes on a core where another one scores waits for that one's slice to end (3 ms) and for a timer tick to notice it (4 ms at
/// 250 Hz), even if the other core falls idle meanwhile. Those that wait so are short: they read frames and write replies.
/// </remarks>
internal static class CoreSharing
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(1);

    // One timestamp a core, each in a cache line of its own.
    private const int LineStride = 64 / sizeof(long);
    private static readonly long[] Last = new long[Environment.ProcessorCount * LineStride];

    /// <summary>Call before a long piece of work.</summary>
    public static void LetOthersIn()
    {
        ref var last = ref Last[Thread.GetCurrentProcessorId() % Environment.ProcessorCount * LineStride];
        if (Stopwatch.GetElapsedTime(last) < Interval)
            return;
        Thread.Yield();
        last = Stopwatch.GetTimestamp();
    }
}
