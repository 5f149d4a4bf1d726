using KdServing.Contracts;

namespace KdServing.LoadTests.Traffic;

/// <summary>What a reply must be to count as served.</summary>
public static class ReplyCheck
{
    /// <summary>The name of the first thing wrong, or null.</summary>
    /// <param name="request">What was asked.</param>
    /// <param name="reply">What was answered.</param>
    /// <param name="versionSeen">Newest version of the replies received before the request was sent.</param>
    /// <param name="allowRollback">An older version than that is right.</param>
    public static string? Problem(RankRequest request, RankReply reply, long versionSeen, bool allowRollback)
    {
        if (reply.RequestId != request.RequestId)
            return "request_id_differs";
        if (reply.Version <= 0)
            return "no_version";
        if (reply.Version < versionSeen && !allowRollback)
            return "version_went_back";
        var expected = request.TopK > 0 ? Math.Min(request.TopK, request.CandidateCount) : request.CandidateCount;
        if (request.TopK > 0 && reply.Index.Count != expected)
            return "index_count";
        if (reply.Targets.Count == 0 || (request.Targets.Count > 0 && reply.Targets.Count != request.Targets.Count))
            return "target_count";
        foreach (var target in reply.Targets)
        {
            if (target.Scores.Count != expected)
                return "score_count";
            foreach (var score in target.Scores)
            {
                // Written so that NaN fails too.
                if (!(score >= 0 && score <= 1))
                    return "score_out_of_range";
            }
        }

        return null;
    }
}
