using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>Scores of records that are in memory.</summary>
public static class OfflineScores
{
    private const int Chunk = 8192;

    /// <summary>Scores a batch into [N × T] row-major logits.</summary>
    public delegate void BatchScorer(FeatureBatch batch, Span<float> logits);

    /// <summary>Logits of the first target, [candidates of all records].</summary>
    public static float[] Of(FeatureSchema schema, BatchScorer score, IReadOnlyList<TeacherRecord> records)
    {
        var all = new float[records.Sum(r => r.CandidateCount)];
        var batch = new FeatureBatch(schema, []);
        var (filled, targets) = (0, schema.Targets.Count);
        foreach (var record in records)
        {
            batch.AddFeatures(record.User, record.Item, record.Privileged, record.CandidateCount);
            if (batch.Candidates >= Chunk)
                Flush();
        }
        if (batch.Records > 0)
            Flush();
        return all;

        void Flush()
        {
            var logits = new float[batch.Candidates * targets];
            score(batch, logits);
            for (var i = 0; i < batch.Candidates; i++)
                all[filled++] = logits[i * targets];
            batch.Clear();
        }
    }
}
