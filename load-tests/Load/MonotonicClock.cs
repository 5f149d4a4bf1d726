using System.Diagnostics;
using System.Runtime.InteropServices;

namespace KdServing.LoadTests.Load;

/// <summary>Nanoseconds of the monotonic clock, and a sleep that ends when it should.</summary>
internal static partial class MonotonicClock
{
    private const int ClockMonotonic = 1;
    private const int AbsoluteTime = 1;
    private const int SetTimerSlack = 29;
    private const double NanosecondsPerSecond = 1e9;

    private static readonly double NanosecondsPerTick = NanosecondsPerSecond / Stopwatch.Frequency;

    public static long NowNs() => (long)(Stopwatch.GetTimestamp() * NanosecondsPerTick);

    /// <summary>Once on a thread that sleeps precisely: Linux else rounds its wake-ups to 50 µs.</summary>
    public static void SleepPrecisely() => _ = ProcessControl(SetTimerSlack, 1, 0, 0, 0);

    /// <summary>Sleeps until a time of <see cref="NowNs"/>; spinning would take a core from the server under test.</summary>
    public static void SleepUntil(long ns)
    {
        var time = new TimeSpec { Seconds = ns / 1_000_000_000, Nanoseconds = ns % 1_000_000_000 };
        _ = ClockNanoSleep(ClockMonotonic, AbsoluteTime, in time, 0);
    }

    [LibraryImport("libc", EntryPoint = "clock_nanosleep")]
    private static partial int ClockNanoSleep(int clock, int flags, in TimeSpec time, nint remaining);

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int ProcessControl(int option, nuint argument2, nuint argument3, nuint argument4, nuint argument5);

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
