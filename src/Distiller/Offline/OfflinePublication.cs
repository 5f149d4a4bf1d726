using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>Publishes a student that was trained from files as a version that Serving loads like any other.</summary>
internal static class OfflinePublication
{
    // Enough to catch a wrong graph.
    private const int GoldenRequestCount = 4;

    /// <exception cref="ParityException">The graphs do not compute what the student computed; nothing was published.</exception>
    public static VersionManifest Publish(string folder, OfflineInputs inputs, Learner learner, TaughtData data, OfflineMetrics valid)
    {
        Directory.CreateDirectory(folder);
        var records = data.Valid.Take(GoldenRequestCount).ToList();
        var targets = inputs.Schema.Targets.Count;
        var golden = GoldenRequests.Batch(records.Select(r =>
        {
            var batch = new FeatureBatch(inputs.Schema, []);
            batch.AddFeatures(r.User, r.Item, r.Privileged, r.CandidateCount);
            var logits = new float[r.CandidateCount * targets];
            learner.Score(batch, logits);
            return (GoldenRequests.From(r, inputs.Config.Model!), logits);
        }));
        var metrics = new Dictionary<string, double>();
        foreach (var (name, value) in new[] { ("auc", valid.Auc), ("gauc", valid.Gauc), ("logloss", valid.Logloss) })
        {
            if (value is { } known)
                metrics[name] = known;
        }
        using var draft = VersionDraft.Take(inputs.Schema, learner.Embeddings.Tables, learner.Student.ToDense(), golden,
            new(new Dictionary<string, string>(), data.Train.Max(r => r.EventTimeMs),
                data.Teachers.ToDictionary(t => t, t => data.Train[0].Outputs.First(o => o.Teacher == t).TeacherVersion), data.Train.Count, metrics));
        return new VersionWriter(new ModelRepository(folder), inputs.Config.Model!, inputs.Config.Refresh).Publish(draft);
    }
}
