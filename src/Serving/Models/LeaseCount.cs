namespace KdServing.Serving.Models;

/// <summary>Counts who uses a thing that must not be freed under them: its owner, and one a lease.</summary>
/// <remarks>
/// Any thread. Once the owner has let go and the last lease is back, the count is zero for good and
/// <see cref="Drained"/> completes, once.
/// </remarks>
public sealed class LeaseCount
{
    private readonly TaskCompletionSource drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int count = 1; // the owner's
    private int ownerHasLetGo;

    /// <summary>Leases out now, without the owner's.</summary>
    public int Leases => Math.Max(0, Volatile.Read(ref count) - (Volatile.Read(ref ownerHasLetGo) == 0 ? 1 : 0));

    public Task Drained => drained.Task;

    /// <summary>False when the thing is drained: it may be freed already.</summary>
    public bool TryAcquire()
    {
        var seen = Volatile.Read(ref count);
        while (seen > 0)
        {
            var was = Interlocked.CompareExchange(ref count, seen + 1, seen);
            if (was == seen)
                return true;
            seen = was;
        }
        return false;
    }

    public void Release()
    {
        var left = Interlocked.Decrement(ref count);
        if (left == 0)
            drained.SetResult();
        else if (left < 0)
            throw new InvalidOperationException("a lease was returned twice");
    }

    /// <summary>The owner lets go; leases still out keep the thing alive. A second call changes nothing.</summary>
    public void ReleaseOwner()
    {
        if (Interlocked.Exchange(ref ownerHasLetGo, 1) == 0)
            Release();
    }
}
