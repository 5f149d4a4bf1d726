using System.Buffers;
using Google.Protobuf.Collections;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Ranking;

/// <summary>Makes the reply of a scored request.</summary>
internal static class RankReplies
{
    public static RankReply From(RankRequest request, Servable servable, ScoringRun run, string model)
    {
        var reply = new RankReply
        {
            RequestId = request.RequestId,
            Model = model,
            Version = servable.Version,
            WatermarkMs = servable.Manifest.WatermarkMs,
        };
        if (request.TopK > 0)
            SelectBest(request, servable, run, reply.Index);
        var targets = servable.Schema.Targets;
        if (request.Targets.Count == 0)
        {
            for (var t = 0; t < targets.Count; t++)
                AddTarget(request, run, reply, targets[t], t, targets.Count);
        }
        else
        {
            for (var t = 0; t < request.Targets.Count; t++)
                AddTarget(request, run, reply, request.Targets[t], RankRequestValidation.IndexOf(targets, request.Targets[t]), targets.Count);
        }
        return reply;
    }

    // By logit, not score: a sigmoid near 1 rounds unequal logits to equal scores.
    private static void SelectBest(RankRequest request, Servable servable, ScoringRun run, RepeatedField<int> index)
    {
        var targets = servable.Schema.Targets;
        var first = request.Targets.Count == 0 ? 0 : RankRequestValidation.IndexOf(targets, request.Targets[0]);
        var best = ArrayPool<int>.Shared.Rent(request.TopK);
        var column = ArrayPool<float>.Shared.Rent(run.Candidates);
        var logits = run.Logits;
        if (targets.Count > 1)
        {
            for (var n = 0; n < run.Candidates; n++)
                column[n] = logits[n * targets.Count + first];
            logits = column.AsSpan(0, run.Candidates);
        }
        TopK.Select(logits, best.AsSpan(0, request.TopK));
        index.Capacity = request.TopK;
        for (var i = 0; i < request.TopK; i++)
            index.Add(best[i]);
        ArrayPool<float>.Shared.Return(column);
        ArrayPool<int>.Shared.Return(best);
    }

    private static void AddTarget(RankRequest request, ScoringRun run, RankReply reply, string name, int target, int targets)
    {
        var scores = new TargetScores { Target = name };
        Copy(run.Scores, run.Candidates, reply.Index, target, targets, scores.Scores);
        if (request.WithLogits)
            Copy(run.Logits, run.Candidates, reply.Index, target, targets, scores.Logits);
        reply.Targets.Add(scores);
    }

    private static void Copy(ReadOnlySpan<float> values, int candidates, RepeatedField<int> index, int target, int targets, RepeatedField<float> destination)
    {
        if (index.Count == 0)
        {
            destination.Capacity = candidates;
            for (var n = 0; n < candidates; n++)
                destination.Add(values[n * targets + target]);
            return;
        }
        destination.Capacity = index.Count;
        for (var i = 0; i < index.Count; i++)
            destination.Add(values[index[i] * targets + target]);
    }
}
