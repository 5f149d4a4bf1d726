namespace KdServing.Serving.Models;

/// <summary>How long anybody waits for an answer: looked at between the steps of scoring, so that expired work is not done.</summary>
/// <param name="Deadline">UTC; <see cref="DateTime.MaxValue"/> for none.</param>
public readonly record struct CallBudget(DateTime Deadline, CancellationToken Cancellation)
{
    public static CallBudget Unlimited => new(DateTime.MaxValue, CancellationToken.None);

    /// <summary>Milliseconds until the deadline; infinite without one.</summary>
    public double RemainingMs => Deadline == DateTime.MaxValue ? double.PositiveInfinity : (Deadline - DateTime.UtcNow).TotalMilliseconds;

    /// <summary>True when nobody waits any more.</summary>
    public bool IsSpent => Cancellation.IsCancellationRequested || (Deadline != DateTime.MaxValue && DateTime.UtcNow >= Deadline);

    /// <exception cref="TimeoutException">The deadline has passed.</exception>
    /// <exception cref="OperationCanceledException">The caller has gone.</exception>
    public void ThrowIfSpent()
    {
        // The deadline first: a transport cancels the call when the deadline passes, and the cause is what is told.
        if (Deadline != DateTime.MaxValue && DateTime.UtcNow >= Deadline)
            throw new TimeoutException("the deadline has passed");
        Cancellation.ThrowIfCancellationRequested();
    }
}
