using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Training;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>What is streamed and learned under chaos: a dataset, and its student set to checkpoint and publish often.</summary>
/// <remarks>Batches are cut by count alone (<c>idle_seconds</c> of a day): what is learned follows from the stream and from nothing else.</remarks>
internal sealed class ChaosStudent
{
    // Small tables and few candidates: a run is to be dense with faults, not with arithmetic.
    private const string SmallSchema = """
        { "name": "chaos", "targets": ["click"], "features": [
          { "name": "user", "side": "user", "kind": "hash", "buckets": 1024, "dim": 8 },
          { "name": "recent_items", "side": "user", "kind": "sequence", "table": "item", "buckets": 2048, "dim": 8, "max_length": 5 },
          { "name": "item", "side": "item", "kind": "hash", "table": "item", "buckets": 2048, "dim": 8 },
          { "name": "item_topic", "side": "item", "kind": "vocabulary", "vocabulary": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "dim": 4 },
          { "name": "age_hours", "side": "item", "kind": "numeric", "volatility": "live", "transform": "log1p" },
          { "name": "popularity", "side": "item", "kind": "numeric", "volatility": "live" },
          { "name": "hint", "side": "privileged", "kind": "numeric" } ] }
        """;

    private const string SmallStudent = """{ "family": "two_tower", "user_tower": [16, 8], "item_tower": [16, 8], "live_net": [8], "initial_logit": -2.0 }""";

    private const string SmallDistiller = """
        { "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "teacher_logits" } ],
          "hard_label": { "weight": 1.0, "origins": ["exposed", "sampled"], "log_q_correction": false },
          "batch_records": 16, "seed": 1, "threads": 1 }
        """;

    private ChaosStudent(DatasetReader reader, FeatureSchema schema, string configPath, int batchRecords)
    {
        Reader = reader;
        Schema = schema;
        ConfigPath = configPath;
        BatchRecords = batchRecords;
    }

    public DatasetReader Reader { get; }

    public FeatureSchema Schema { get; }

    /// <summary>Name of the model.</summary>
    public string Model => Schema.Name;

    /// <summary><c>distiller.json</c>, with schema and student beside it.</summary>
    public string ConfigPath { get; }

    public int BatchRecords { get; }

    /// <summary>Writes the configuration of a run.</summary>
    /// <param name="data">Folder of a dataset with a sample; null: generated impressions and a small student.</param>
    /// <param name="folder">Where the three files are written.</param>
    /// <exception cref="DatasetException">Unknown folder, or files it should hold are missing.</exception>
    public static ChaosStudent Prepare(string? data, string folder, int seed)
    {
        Directory.CreateDirectory(folder);
        DatasetReader reader;
        string schema, student, distiller;
        if (data is null)
        {
            File.WriteAllText(Path.Combine(folder, "dataset.json"), new JsonObject
            {
                ["name"] = "chaos",
                ["synthetic"] = new JsonObject
                {
                    ["seed"] = seed,
                    ["users"] = 500,
                    ["live_items"] = 200,
                    ["candidates"] = 8,
                    ["preparation_impressions"] = 1,
                    ["replay_impressions"] = int.MaxValue - 1,
                },
            }.ToJsonString());
            reader = DatasetReader.Open(folder, Installation.Samples);
            (schema, student, distiller) = (SmallSchema, SmallStudent, SmallDistiller);
        }
        else
        {
            var dataset = DemoDataset.Open(data);
            reader = dataset.Reader;
            (schema, student, distiller) = (Text("schema.json"), Text("student.json"), Text("distiller.json"));
            string Text(string name) => File.ReadAllText(dataset.File(name));
        }
        var config = JsonNode.Parse(distiller)!.AsObject();
        config["model"] = FeatureSchema.Parse(schema).Name;
        config["idle_seconds"] = 86_400;
        config["refresh"] = new JsonObject { ["seconds"] = 1, ["base_every"] = 10 };
        config["checkpoint"] = new JsonObject { ["every_seconds"] = 0.3, ["keep"] = 3 };
        config["evaluation"] = new JsonObject { ["labels_only"] = false };
        File.WriteAllText(Path.Combine(folder, "schema.json"), schema);
        File.WriteAllText(Path.Combine(folder, "student.json"), student);
        var path = Path.Combine(folder, "distiller.json");
        File.WriteAllText(path, config.ToJsonString());
        return new(reader, FeatureSchema.Parse(schema), path, DistillerConfig.Parse(config.ToJsonString()).BatchRecords);
    }

    /// <summary>The replay's impressions from its start.</summary>
    public IEnumerator<Impression> Impressions() => Reader.Read(DatasetPart.Replay).GetEnumerator();
}
