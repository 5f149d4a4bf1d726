using System.Text.Json;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;
using KdServing.LoadTests.Teaching;
using StackExchange.Redis;

namespace KdServing.EndToEnd.Tests.Teaching;

/// <summary>A small generated dataset in a folder of its own, and teachers for it.</summary>
internal sealed class TeachingFixture : IDisposable
{
    public const int Replayed = 240;

    private const string Schema = """
        {
          "name": "tiny", "targets": ["click"],
          "features": [
            { "name": "user", "side": "user", "kind": "hash", "buckets": 512, "dim": 4 },
            { "name": "recent_items", "side": "user", "kind": "sequence", "table": "item", "buckets": 512, "dim": 4, "max_length": 5 },
            { "name": "item", "side": "item", "kind": "hash", "table": "item", "buckets": 512, "dim": 4 },
            { "name": "item_topic", "side": "item", "kind": "hash", "buckets": 64, "dim": 4 },
            { "name": "age_hours", "side": "item", "kind": "numeric", "volatility": "live", "transform": "log1p" },
            { "name": "popularity", "side": "item", "kind": "numeric", "volatility": "live" },
            { "name": "hint", "side": "privileged", "kind": "numeric" }
          ]
        }
        """;

    public TeachingFixture()
    {
        Folder = Directory.CreateTempSubdirectory("kd-teach-").FullName;
        WriteDataset(seed: 3);
        File.WriteAllText(Path.Combine(Folder, "schema.json"), Schema);
        Config = new TeacherConfig { Deep = [16], CrossRank = 8, BatchImpressions = 8, BatchesPerVersion = 5, ListwiseWeight = 0.2, LearningRate = 0.01 };
        FeatureSchema = FeatureSchema.Parse(Schema);
    }

    public string Folder { get; }

    public TeacherConfig Config { get; }

    public FeatureSchema FeatureSchema { get; }

    public DatasetReader Reader => DatasetReader.Open(Folder, Folder);

    public void WriteDataset(int seed) => File.WriteAllText(Path.Combine(Folder, "dataset.json"), $$"""
        { "name": "tiny", "synthetic": { "seed": {{seed}}, "users": 40, "live_items": 60, "candidates": 9,
          "preparation_impressions": 64, "replay_impressions": {{Replayed}}, "bias": -1 } }
        """);

    public Teacher NewTeacher(ulong seed = 1) => new(FeatureSchema, Config, seed);

    public TeacherStream NewStream(Teacher teacher, IDatabase redis, string model, string? positionFile = null, StatusReport? report = null, Action? batchStreamed = null) =>
        new(Reader, teacher, redis, new()
        {
            Model = model,
            Rate = 1e9,
            PositionFile = positionFile,
            ProducedLog = Path.Combine(Folder, model + ".log"),
        }, report ?? new StatusReport(null), ReplayPosition.Load(positionFile, "tiny"))
        {
            BatchStreamed = batchStreamed,
        };

    /// <summary>Everything in a model's stream; fails on a faulty entry.</summary>
    public async Task<List<LogitStreamEntry>> ReadAll(IDatabase redis, string model)
    {
        var reader = new LogitStreamReader(redis, model, FeatureSchema);
        var entries = new List<LogitStreamEntry>();
        while (await reader.ReadAsync(entries.Count == 0 ? StreamId.Zero : entries[^1].Id, 100) is { Count: > 0 } more)
            entries.AddRange(more);
        Assert.All(entries, e => Assert.Null(e.Fault));
        return entries;
    }

    public JsonElement ReadJson(string file)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, file)));
        return json.RootElement.Clone();
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
