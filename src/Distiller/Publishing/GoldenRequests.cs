using KdServing.Contracts;

namespace KdServing.Distiller.Publishing;

/// <summary>Turns what the teacher sent into what a client would ask: requests for the golden batch.</summary>
public static class GoldenRequests
{
    /// <summary>The same user and candidates, without labels, logits and privileged features. Shares the record's columns.</summary>
    public static RankRequest From(TeacherRecord record, string model) => new()
    {
        RequestId = record.RequestId,
        Model = model,
        SchemaFingerprint = record.SchemaFingerprint,
        CandidateCount = record.CandidateCount,
        User = { record.User },
        Item = { record.Item },
        WithLogits = true,
    };

    /// <summary>A batch of requests and the trainer's logits, row-major [N, T] each.</summary>
    public static GoldenBatch Batch(IEnumerable<(RankRequest Request, float[] Logits)> cases)
    {
        var batch = new GoldenBatch();
        foreach (var (request, logits) in cases)
            batch.Cases.Add(new GoldenCase { Request = request, Logits = { logits } });
        return batch;
    }
}
