using KdServing.Contracts;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Models;

/// <summary>How much another version would change what is shown: the share of the top candidates that differ, by the first target. One thread.</summary>
/// <remarks>Churn of a request = 1 - |top K of one ∩ top K of the other| / K; K is the request's own <c>top_k</c>, 10 when it asks for all.</remarks>
public sealed class RankChurn
{
    private const int DefaultTopK = 10;
    private double sum;

    /// <summary>Requests compared.</summary>
    public long Requests { get; private set; }

    /// <summary>Mean churn, 0 to 1; 0 before the first request.</summary>
    public double Mean => Requests == 0 ? 0 : sum / Requests;

    /// <summary>Scores a request with both; one that does not fit either version's schema is left out.</summary>
    /// <exception cref="NonFiniteScoreException">The candidate computed a score that is not finite.</exception>
    public void Add(RankRequest request, Servable incumbent, Servable candidate)
    {
        var k = Math.Min(request.TopK > 0 ? request.TopK : DefaultTopK, request.CandidateCount);
        int[] before;
        try
        {
            before = Best(request, incumbent, k);
        }
        catch (Exception e) when (e is ContractException or NonFiniteScoreException)
        {
            // Written for another schema, or beyond what any version can score: it says nothing of the candidate.
            return;
        }
        try
        {
            sum += 1 - (double)before.Intersect(Best(request, candidate, k)).Count() / k;
            Requests++;
        }
        catch (ContractException)
        {
            // The candidate's schema is another one.
        }
    }

    private static int[] Best(RankRequest request, Servable servable, int k)
    {
        var run = servable.Rent();
        try
        {
            servable.Score(request, run, CallBudget.Unlimited);
            var targets = servable.Schema.Targets.Count;
            var first = new float[run.Candidates];
            for (var n = 0; n < first.Length; n++)
                first[n] = run.Logits[n * targets];
            var best = new int[k];
            TopK.Select(first, best);
            return best;
        }
        finally
        {
            servable.Return(run);
        }
    }
}
