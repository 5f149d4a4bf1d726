using System.Diagnostics;

namespace KdServing.Serving.Models;

/// <summary>How long anybody waits for an answer: looked at between the steps of scoring, so that expired work is not done.</summary>
public readonly record struct CallBudget
{
    // Of Stopwatch; null: no deadline.
    private readonly long? endsAt;

    /// <param name="deadline">UTC; <see cref="DateTime.MaxValue"/> for none. Read once, now: a clock that is set during the call neither spends its time nor adds to it.</param>
    public CallBudget(DateTime deadline, CancellationToken cancellation)
    {
        Cancellation = cancellation;
        if (deadline != DateTime.MaxValue)
            endsAt = Stopwatch.GetTimestamp() + (long)Math.Min((deadline - DateTime.UtcNow).TotalSeconds * Stopwatch.Frequency, long.MaxValue / 2.0);
    }

    /// <param name="patience">From now on.</param>
    public CallBudget(TimeSpan patience, CancellationToken cancellation)
    {
        Cancellation = cancellation;
        endsAt = Stopwatch.GetTimestamp() + (long)Math.Min(patience.TotalSeconds * Stopwatch.Frequency, long.MaxValue / 2.0);
    }

    public static CallBudget Unlimited => new(DateTime.MaxValue, CancellationToken.None);

    public CancellationToken Cancellation { get; }

    /// <summary>Milliseconds until the deadline; infinite without one.</summary>
    public double RemainingMs => endsAt is { } end ? (end - Stopwatch.GetTimestamp()) * 1000.0 / Stopwatch.Frequency : double.PositiveInfinity;

    /// <summary>True when nobody waits any more.</summary>
    public bool IsSpent => Cancellation.IsCancellationRequested || RemainingMs <= 0;

    /// <exception cref="TimeoutException">The deadline has passed.</exception>
    /// <exception cref="OperationCanceledException">The caller has gone.</exception>
    public void ThrowIfSpent()
    {
        // The deadline first: a transport cancels the call when the deadline passes, and the cause is what is told.
        if (RemainingMs <= 0)
            throw new TimeoutException("the deadline has passed");
        Cancellation.ThrowIfCancellationRequested();
    }
}
