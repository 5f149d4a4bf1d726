using System.Buffers;
using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Ranking;

/// <summary>Makes the reply of a scored request.</summary>
internal static class RankReplies
{
    /// <param name="excluded">Candidates that are reported instead of scored, ascending.</param>
    public static RankedReply From(RankRequest request, Servable servable, ScoringRun run, string model, ReadOnlySpan<int> excluded)
    {
        var reply = RankedReply.Rent();
        reply.Header.RequestId = request.RequestId;
        reply.Header.Model = model;
        reply.Header.Version = servable.Version;
        reply.Header.WatermarkMs = servable.Manifest.WatermarkMs;
        reply.Header.LearnedUntilMs = servable.Health.LearnedUntilMs;
        reply.Header.ModelAgeSeconds = servable.Health.AgeSeconds ?? 0;
        reply.Header.LogitToServedMs = servable.Health.LogitToServedMs ?? 0;
        foreach (var candidate in excluded)
            reply.Header.Unknown.Add(candidate);
        // What is excluded has the lowest logit: it can not be among so many.
        var chosen = Math.Min(request.TopK, run.Candidates - excluded.Length);
        var best = ArrayPool<int>.Shared.Rent(chosen);
        var index = best.AsSpan(0, chosen);
        if (chosen > 0)
            SelectBest(request, servable, run, index);
        reply.AddIndex(index);
        var targets = servable.Schema.Targets;
        if (request.Targets.Count == 0)
        {
            for (var t = 0; t < targets.Count; t++)
                AddTarget(request, run, reply, index, targets[t], t, targets.Count);
        }
        else
        {
            for (var t = 0; t < request.Targets.Count; t++)
                AddTarget(request, run, reply, index, request.Targets[t], RankRequestValidation.IndexOf(targets, request.Targets[t]), targets.Count);
        }
        ArrayPool<int>.Shared.Return(best);
        return reply;
    }

    // By logit, not score: a sigmoid near 1 rounds unequal logits to equal scores.
    private static void SelectBest(RankRequest request, Servable servable, ScoringRun run, Span<int> best)
    {
        var targets = servable.Schema.Targets;
        if (targets.Count == 1)
        {
            TopK.Select(run.Logits, best);
            return;
        }
        var first = request.Targets.Count == 0 ? 0 : RankRequestValidation.IndexOf(targets, request.Targets[0]);
        var column = ArrayPool<float>.Shared.Rent(run.Candidates);
        for (var n = 0; n < run.Candidates; n++)
            column[n] = run.Logits[n * targets.Count + first];
        TopK.Select(column.AsSpan(0, run.Candidates), best);
        ArrayPool<float>.Shared.Return(column);
    }

    private static void AddTarget(RankRequest request, ScoringRun run, RankedReply reply, ReadOnlySpan<int> index, string name, int target, int targets) =>
        reply.AddTarget(name, run.Scores[target..], request.WithLogits ? run.Logits[target..] : default, targets, request.TopK > 0 ? index.Length : run.Candidates, index);
}
