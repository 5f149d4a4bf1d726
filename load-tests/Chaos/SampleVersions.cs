using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.LoadTests.Chaos;

/// <summary>Good versions without a Distiller process: a student that has learned nothing, published as a base and a delta.</summary>
internal static class SampleVersions
{
    /// <summary>Publishes versions 1 (a base) and 2 (a delta).</summary>
    public static void Publish(ModelRepository repository, ChaosStudent student)
    {
        var config = StudentConfig.Parse(File.ReadAllText(Path.Combine(Path.GetDirectoryName(student.ConfigPath)!, "student.json")));
        var tables = student.Schema.Tables.Select((t, i) => new EmbeddingTable(t, (ulong)i + 1, 0.1f)).ToList();
        using var module = Student.Create(config, student.Schema, 1);
        var dense = module.ToDense();
        var writer = new VersionWriter(repository, student.Model, new RefreshPolicy());
        var impressions = student.Impressions();
        foreach (var version in (int[])[1, 2])
        {
            foreach (var table in tables)
                table.Writable(version)[0] += 0.5f;
            impressions.MoveNext();
            using var draft = VersionDraft.Take(student.Schema, tables, dense, Golden(student, dense, tables, impressions.Current),
                new(new Dictionary<string, string> { [(string)new StreamKeys(student.Model).Logits!] = $"{version}-0" }, 1, new Dictionary<string, long>(), version,
                    new Dictionary<string, double>()));
            writer.Publish(draft);
        }
        tables.ForEach(t => t.Dispose());
    }

    private static GoldenBatch Golden(ChaosStudent student, DenseStudent dense, IReadOnlyList<EmbeddingTable> tables, Impression impression)
    {
        using var frozen = new FrozenStudent(0, dense, [.. tables.Select(t => t.Fork())]);
        var batch = new FeatureBatch(student.Schema, []);
        var record = impression.ToTeacherRecord("none", 1, student.Schema.Fingerprint);
        batch.AddFeatures(record.User, record.Item, record.Privileged, record.CandidateCount);
        var logits = new float[impression.CandidateCount * student.Schema.Targets.Count];
        frozen.Score(batch, logits);
        var request = impression.ToRankRequest(student.Model, student.Schema.Fingerprint);
        request.WithLogits = true;
        return GoldenRequests.Batch([(request, logits)]);
    }
}
