using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Demo;

internal enum DemoPhase
{
    Starting,

    /// <summary>The teacher learns the day before the replay.</summary>
    Preparing,

    /// <summary>Records flow, versions are swapped, requests are ranked.</summary>
    Streaming,

    /// <summary>The teacher has stopped; what it wrote is learned and served.</summary>
    Draining,

    Done,
}

/// <summary>What the live view shows: one look at every process.</summary>
internal sealed record DemoState(DemoPhase Phase, TimeSpan Elapsed, int Seconds, StatusFile Teacher, StatusFile Distiller,
    StatusFile Serving, TrafficFigures Traffic, IReadOnlyList<string> Messages);
