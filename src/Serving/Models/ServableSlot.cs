using System.Diagnostics.CodeAnalysis;
using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>The versions requests are scored with, behind one field. Any thread.</summary>
/// <remarks>
/// <code>
/// if (slot.TryAcquire(request, out var lease))        // request
///     using (lease) lease.Servable.Score(…);
///
/// var previous = slot.Swap(next);                     // who owns the versions
/// await previous.RetireAsync();                       // its last lease is back
/// previous.Dispose();
/// </code>
/// A request that read the field just before a swap either still gets its lease (the version is not drained) or reads the
/// field again. Who changes the lineup owns the versions that leave it.
/// </remarks>
public sealed class ServableSlot
{
    private Lineup lineup = Lineup.Empty;

    /// <summary>Runs between reading the field and taking the lease: where a test forces a swap to happen.</summary>
    internal Action? BetweenReadAndLease { get; set; }

    /// <summary>Who is loaded now. To look at, not to score with: a version may be retired any moment.</summary>
    public Lineup Lineup => Volatile.Read(ref lineup);

    /// <summary>The version in service; null before the first. To look at, as <see cref="Lineup"/>.</summary>
    public Servable? Current => Lineup.Current;

    /// <summary>Leases the version in service; false before the first one.</summary>
    public bool TryAcquire([MaybeNullWhen(false)] out ServableHandle lease)
    {
        while (Lineup.Current is { } servable)
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

    /// <summary>Leases the version a request is scored by; false before the first one.</summary>
    public bool TryAcquire(RankRequest request, [MaybeNullWhen(false)] out ServableHandle lease)
    {
        while (Lineup.Choose(request) is { } servable)
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

    /// <summary>Leases another warm version for a request that one failed; false when there is none, or the request asked for that very version.</summary>
    public bool TryAcquireInstead(Servable failed, RankRequest request, [MaybeNullWhen(false)] out ServableHandle lease)
    {
        var now = Lineup;
        if (request.Version == 0)
        {
            foreach (var other in (ReadOnlySpan<Servable?>)[now.Current, now.Previous])
            {
                if (other is not null && other != failed && other.Leases.TryAcquire())
                {
                    lease = new(other);
                    return true;
                }
            }
        }
        lease = default;
        return false;
    }

    /// <summary>Puts a version in service, whatever else is loaded; requests from now on get it.</summary>
    /// <returns>The version before, now the caller's to retire or keep.</returns>
    public Servable? Swap(Servable? next)
    {
        while (true)
        {
            var seen = Lineup;
            if (Interlocked.CompareExchange(ref lineup, seen with { Current = next }, seen) == seen)
                return seen.Current;
        }
    }

    /// <summary>Exchanges the whole picture. One caller at a time: the <see cref="Rollout"/>.</summary>
    /// <returns>The picture before; versions that are in it and not in the new one are the caller's to retire.</returns>
    internal Lineup Change(Lineup next) => Interlocked.Exchange(ref lineup, next);
}
