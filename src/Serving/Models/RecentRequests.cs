using KdServing.Contracts;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <summary>A few recent requests, so that a new version meets the sizes clients really send before it serves them. Any thread.</summary>
public sealed class RecentRequests
{
    private const int Kept = 4;
    private const int Stride = 64;

    private readonly RankRequest?[] kept = new RankRequest?[Kept];
    private int seen = -1;

    /// <summary>Keeps every 64th request, beginning with the first.</summary>
    public void Offer(RankCall request)
    {
        var n = (uint)Interlocked.Increment(ref seen);
        if (n % Stride == 0)
            Volatile.Write(ref kept[n / Stride % Kept], request.ToMessage());
    }

    public IReadOnlyList<RankRequest> Take() => [.. kept.OfType<RankRequest>()];
}
