using System.Diagnostics;
using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>Scores sample requests with a version nobody uses yet, until its latency has settled.</summary>
/// <param name="limit">Time after which it is good enough.</param>
internal sealed class WarmUp(TimeSpan limit)
{
    private const int MinRounds = 3;
    private const int ScoresPerRound = 4;
    // Shapes of live requests are few; each costs a swap some milliseconds of a core.
    private const int MaxShapes = 4;
    // Two rounds this near to each other are noise apart on a busy machine.
    private const double SettledShare = 0.15;

    /// <summary>Warms up with the trainer's requests and with recent ones of clients, as far as they fit this version's schema.</summary>
    /// <returns>Rounds taken.</returns>
    /// <exception cref="VersionRefusedException">A client's recent request gets a score that is not finite.</exception>
    public int Run(Servable servable, IReadOnlyList<RankRequest> recent, Pace pace)
    {
        var started = Stopwatch.GetTimestamp();
        var requests = servable.GoldenRequests.Concat(Shapes(recent).Where(r => Fits(servable, r))).ToList();
        var run = servable.Rent();
        try
        {
            var previous = double.PositiveInfinity;
            for (var round = 1; ; round++)
            {
                var elapsed = Round(servable, run, requests, pace);
                var settled = round >= MinRounds && Math.Abs(elapsed - previous) <= SettledShare * previous;
                if (settled || Stopwatch.GetElapsedTime(started) >= limit)
                    return round;
                previous = elapsed;
            }
        }
        finally
        {
            servable.Return(run);
        }
    }

    // The smallest, the largest and those between: one request a number of candidates, spread over the sizes seen.
    private static IEnumerable<RankRequest> Shapes(IReadOnlyList<RankRequest> recent)
    {
        var sizes = recent.DistinctBy(r => r.CandidateCount).OrderBy(r => r.CandidateCount).ToList();
        return sizes.Count <= MaxShapes ? sizes : Enumerable.Range(0, MaxShapes).Select(i => sizes[i * (sizes.Count - 1) / (MaxShapes - 1)]);
    }

    // Milliseconds of scoring, without the rests.
    private static double Round(Servable servable, ScoringRun run, List<RankRequest> requests, Pace pace)
    {
        var elapsed = TimeSpan.Zero;
        foreach (var request in requests)
        {
            var started = Stopwatch.GetTimestamp();
            for (var i = 0; i < ScoresPerRound; i++)
                servable.Score(request, run, CallBudget.Unlimited);
            elapsed += Stopwatch.GetElapsedTime(started);
            pace.Rest();
        }
        return elapsed.TotalMilliseconds;
    }

    private static bool Fits(Servable servable, RankRequest request)
    {
        var run = servable.Rent();
        try
        {
            servable.Score(request, run, CallBudget.Unlimited);
            return true;
        }
        catch (ContractException)
        {
            return false;
        }
        catch (NonFiniteScoreException e)
        {
            throw new VersionRefusedException(servable.Version, $"{e.Message} for a recent request", isFinal: true, e);
        }
        finally
        {
            servable.Return(run);
        }
    }
}
