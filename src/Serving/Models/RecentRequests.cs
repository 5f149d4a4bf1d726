using KdServing.Contracts;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <summary>A request as it was answered: what a new version is warmed up and compared with, and what <c>kd explain</c> tells of.</summary>
/// <param name="Logits">Row-major [candidates, targets].</param>
/// <param name="AnsweredAtMs">Milliseconds since the Unix epoch.</param>
public sealed record AnsweredRequest(RankRequest Request, long Version, float[] Logits, long AnsweredAtMs);

/// <summary>A ring of recent requests: one in 64, the last 64 of them. Any thread.</summary>
public sealed class RecentRequests
{
    // 64 requests of 500 candidates are some 6 MB; at 100 requests a second they span 40 s.
    private const int Kept = 64;
    private const int Stride = 64;

    private readonly AnsweredRequest?[] kept = new AnsweredRequest?[Kept];
    private int seen = -1;

    /// <summary>Keeps every 64th request, beginning with the first.</summary>
    public void Offer(RankCall request, Servable servable, ScoringRun run)
    {
        var n = (uint)Interlocked.Increment(ref seen);
        if (n % Stride != 0)
            return;
        var answered = new AnsweredRequest(request.ToMessage(), servable.Version, run.Logits.ToArray(), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
        Volatile.Write(ref kept[n / Stride % Kept], answered);
    }

    /// <summary>Newest first.</summary>
    public IReadOnlyList<AnsweredRequest> Take() => [.. kept.OfType<AnsweredRequest>().OrderByDescending(a => a.AnsweredAtMs)];

    /// <summary>The newest kept request of an id; null when none is kept.</summary>
    public AnsweredRequest? Find(string requestId) => Take().FirstOrDefault(a => a.Request.RequestId == requestId);
}
