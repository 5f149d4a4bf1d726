using System.Threading.Channels;
using KdServing.Contracts;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <summary>Scores a share of the live requests with the candidate too, away from the requests' path, and tells how much it would change.</summary>
/// <remarks>Requests are offered by any thread and dropped when the loader's thread is busy: shadow work never makes a queue.</remarks>
public sealed class ShadowScoring(ServableSlot slot, NicedThread thread) : BackgroundService
{
    private const int Waiting = 8;

    private readonly Channel<RankRequest> requests = Channel.CreateBounded<RankRequest>(
        new BoundedChannelOptions(Waiting) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private RankChurn churn = new();

    /// <summary>What was found of the candidate so far.</summary>
    public (long Requests, double MeanChurn) Report
    {
        get
        {
            var seen = Volatile.Read(ref churn);
            return (seen.Requests, seen.Mean);
        }
    }

    /// <summary>Gives a request that was answered to be scored in shadow; nothing happens without a candidate.</summary>
    public void Offer(RankCall request)
    {
        if (slot.Lineup.IsShadowed(request.Header))
            requests.Writer.TryWrite(request.ToMessage());
    }

    /// <summary>Begins to count anew: another candidate.</summary>
    internal void Reset() => Volatile.Write(ref churn, new());

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var request in requests.Reader.ReadAllAsync(stoppingToken))
                await thread.RunAsync(() => Compare(request));
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private bool Compare(RankRequest request)
    {
        var (now, counted) = (slot.Lineup, Volatile.Read(ref churn));
        if (now is not { Current: { } current, Candidate: { } candidate } || !candidate.Leases.TryAcquire())
            return false;
        using var candidateLease = new ServableHandle(candidate);
        if (!current.Leases.TryAcquire())
            return false;
        using var currentLease = new ServableHandle(current);
        try
        {
            counted.Add(request, current, candidate);
        }
        catch (NonFiniteScoreException)
        {
            // Seen by the watch as a failure that a client was spared.
            candidate.Health.CountFailure();
        }
        return true;
    }
}
