using System.Diagnostics.CodeAnalysis;

namespace KdServing.Serving.Models;

/// <summary>The version requests are scored with, behind one field. Any thread.</summary>
/// <remarks>
/// <code>
/// if (slot.TryAcquire(out var lease))                 // request
///     using (lease) lease.Servable.Score(…);
///
/// var previous = slot.Swap(next);                     // loader
/// await previous.RetireAsync();                       // its last lease is back
/// previous.Dispose();
/// </code>
/// A request that read the field just before a swap either still gets its lease (the version is not drained) or reads the
/// field again. Who swaps owns the version it gets back, and may keep it warm instead of retiring it.
/// </remarks>
public sealed class ServableSlot
{
    private Servable? current;

    /// <summary>Runs between reading the field and taking the lease: where a test forces a swap to happen.</summary>
    internal Action? BetweenReadAndLease { get; set; }

    /// <summary>The version in service; null before the first. To look at, not to score with: it may be retired any moment.</summary>
    public Servable? Current => Volatile.Read(ref current);

    /// <summary>Leases the version in service; false before the first one.</summary>
    public bool TryAcquire([MaybeNullWhen(false)] out ServableHandle lease)
    {
        while (Volatile.Read(ref current) is { } servable)
        {
            BetweenReadAndLease?.Invoke();
            if (servable.Leases.TryAcquire())
            {
                lease = new(servable);
                return true;
            }
        }
        lease = default;
        return false;
    }

    /// <summary>Puts a version in service; requests from now on get it.</summary>
    /// <returns>The version before, now the caller's to retire or keep.</returns>
    public Servable? Swap(Servable? next) => Interlocked.Exchange(ref current, next);
}
