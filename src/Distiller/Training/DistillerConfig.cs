using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;
using KdServing.Distiller.Calibration;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Offline;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Training;

/// <summary><c>checkpoint</c> of distiller.json.</summary>
public sealed record CheckpointConfig
{
    public double EverySeconds { get; init; } = 10;

    /// <summary>Checkpoints kept.</summary>
    public int Keep { get; init; } = 3;

    /// <summary>One checkpoint in so many holds everything; the others what changed since the one before.</summary>
    public int FullEvery { get; init; } = 20;

    /// <summary>The streams keep what so many checkpoints before the newest would need, should it be damaged.</summary>
    public int Spare { get; init; } = 1;

    /// <summary>Megabytes of older checkpoints and of what was learned between them, kept for <c>kd replay</c>; 0: none beyond <see cref="Keep"/>.</summary>
    public long LineageMb { get; init; } = 1024;
}

/// <summary><c>evaluation</c> of distiller.json.</summary>
public sealed record EvaluationConfig
{
    /// <summary>Train a second student, of the same seed and batches, from labels alone. Doubles the cost of a step.</summary>
    public bool LabelsOnly { get; init; } = true;
}

/// <summary><c>distiller.json</c>: what is learned, from which losses, and when it is published.</summary>
public sealed record DistillerConfig
{
    // Here a null is a mistake, not a value.
    private static readonly JsonSerializerOptions Options = new(ContractJson.Options) { RespectNullableAnnotations = true };

    /// <summary>Name of the model: its folder in the repository and its keys in Redis.</summary>
    public string? Model { get; init; }

    /// <summary>The losses, when no preset is named.</summary>
    public IReadOnlyList<KdLossConfig> Kd { get; init; } = [];

    /// <summary>A method by name, in place of <see cref="Kd"/>; one of <see cref="PresetCatalogue.Names"/>.</summary>
    public string? Preset { get; init; }

    /// <summary>The preset's parameters, in a block of its name.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Blocks { get; init; }

    public HardLabelConfig HardLabel { get; init; } = new();

    public TeacherCalibrationConfig TeacherCalibration { get; init; } = new();

    public OptimizerConfig Optimizer { get; init; } = new();

    /// <summary>Stream entries a step.</summary>
    public int BatchRecords { get; init; } = 32;

    /// <summary>Streams that the teachers spread their records over; the same as in their writers.</summary>
    public int Shards { get; init; } = 1;

    /// <summary>Labels that arrive after their records; null: they are not waited for.</summary>
    public LabelsConfig? Labels { get; init; }

    /// <summary>A batch that is not full is learned when nothing has arrived for so long.</summary>
    public double IdleSeconds { get; init; } = 0.5;

    public RefreshPolicy Refresh { get; init; } = new();

    public GatePolicy Gate { get; init; } = new();

    public CheckpointConfig Checkpoint { get; init; } = new();

    public EvaluationConfig Evaluation { get; init; } = new();

    /// <summary>Training from files; nothing of it holds for a stream.</summary>
    public OfflineConfig Offline { get; init; } = new();

    public ulong Seed { get; init; } = 1;

    /// <summary>Compute threads of torch.</summary>
    public int Threads { get; init; } = 1;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public static DistillerConfig Parse(string json)
    {
        DistillerConfig config;
        try
        {
            config = JsonSerializer.Deserialize<DistillerConfig>(json, Options)
                ?? throw new ContractException("distiller", "is empty");
        }
        catch (JsonException e)
        {
            throw new ContractException("distiller", $"is not valid: {e.Message}");
        }
        config.Require();
        return config;
    }

    private void Require()
    {
        Identifier.Require(Model, "model");
        Optimizer.Dense.Require("optimizer.dense");
        RequireEmbedding(Optimizer.Embedding);
        RequireRange(BatchRecords, 1, 4096, "batch_records");
        RequireRange(Threads, 1, 256, "threads");
        if (Labels is { } labels)
        {
            RequirePositive(labels.WindowSeconds, "labels.window_seconds");
            RequireRange(labels.MaxOpen, 1, 10_000_000, "labels.max_open");
        }
        RequireRange(Shards, 1, StreamKeys.MaxShards, "shards");
        RequireRange(Checkpoint.Keep, 1, 1000, "checkpoint.keep");
        RequireRange(Checkpoint.FullEvery, 1, 1000, "checkpoint.full_every");
        if (Checkpoint.LineageMb is < 0 or > 1 << 30)
            throw new ContractException("checkpoint.lineage_mb", $"is {Checkpoint.LineageMb}; must be from 0 to {1 << 30}");
        RequireRange(Checkpoint.Spare, 0, Checkpoint.Keep - 1, "checkpoint.spare");
        RequirePositive(IdleSeconds, "idle_seconds");
        RequirePositive(Checkpoint.EverySeconds, "checkpoint.every_seconds");
        TeacherCalibration.Require("teacher_calibration");
        Refresh.Require("refresh");
        Gate.Require("gate");
        PresetCatalogue.Require(this);
        Offline.Require("offline");
    }

    private static void RequireEmbedding(RowOptimizerOptions options)
    {
        RequirePositive(options.LearningRate, "optimizer.embedding.learning_rate");
        RequirePositive(options.InitialAccumulator, "optimizer.embedding.initial_accumulator");
        RequirePositive(options.Epsilon, "optimizer.embedding.epsilon");
        if (!(options.InitialScale >= 0) || !float.IsFinite(options.InitialScale))
            throw new ContractException("optimizer.embedding.initial_scale", $"is {options.InitialScale}; must be 0 or more");
    }

    private static void RequirePositive(double value, string field)
    {
        if (!(value > 0) || !double.IsFinite(value))
            throw new ContractException(field, $"is {value}; must be above 0");
    }

    private static void RequireRange(int value, int low, int high, string field)
    {
        if (value < low || value > high)
            throw new ContractException(field, $"is {value}; must be from {low} to {high}");
    }
}
