using Grpc.Core;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;

namespace KdServing.Serving.Connections;

/// <summary>Which ranking calls are refused before they are read: those that come while the line of <see cref="AdmissionGate"/> is too long in time. Any thread.</summary>
public sealed class Refusals(AdmissionGate gate, RankingMetrics metrics)
{
    /// <summary>Path of the one method whose calls are refused so; others say nothing of how much work they are.</summary>
    internal static readonly string RankPath = $"/{Contracts.Ranking.Descriptor.FullName}/Rank";

    private Refusal last = new(0);

    /// <summary>For a call that is here.</summary>
    /// <returns>Null while there is room. The same object for all that would wait as long.</returns>
    internal Refusal? IfFull() => gate.IsFull(out var expectedMs) ? For(expectedMs) : null;

    /// <summary>For a call that begins to arrive; while there is room, it is expected from then on.</summary>
    /// <inheritdoc cref="IfFull" path="/returns"/>
    internal Refusal? UnlessExpected() => gate.TryExpect(out var expectedMs) ? null : For(expectedMs);

    /// <summary>A call that was let pass will not rank.</summary>
    internal void Unexpect() => gate.Arrived();

    /// <summary>One more call was refused.</summary>
    internal void Count() => metrics.Answered(StatusCode.ResourceExhausted, 0, TimeSpan.Zero);

    private Refusal For(double expectedMs)
    {
        // Read and replaced without a lock: whoever loses a race has made the same words.
        var refusal = last;
        if (refusal.WaitMs != Math.Ceiling(expectedMs))
            last = refusal = new(Math.Ceiling(expectedMs));
        return refusal;
    }
}
