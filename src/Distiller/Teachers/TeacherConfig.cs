using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Teachers;

/// <summary><c>teacher.json</c>: shape and learning of the teacher; the schema says what enters it.</summary>
public sealed record TeacherConfig
{
    private const int MaxLayers = 8;
    private const int MaxWidth = 4096;

    /// <summary>Name under which its logits are streamed.</summary>
    public string Name { get; init; } = "dcn";

    public int CrossLayers { get; init; } = 2;

    /// <summary>Rank of the cross layers' matrices; 0: full.</summary>
    public int CrossRank { get; init; }

    /// <summary>Widths of the deep part, beside the cross layers.</summary>
    public IReadOnlyList<int> Deep { get; init; } = [128, 64];

    /// <summary>Adam's, for the dense part.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Row-wise Adagrad's, for the embedding rows.</summary>
    public float EmbeddingLearningRate { get; init; } = 0.05f;

    /// <summary>Impressions learned in one step; all of them are scored and streamed before.</summary>
    public int BatchImpressions { get; init; } = 32;

    /// <summary>The same treatment of labels as the student's, so that both models' logits mean the same.</summary>
    public HardLabelConfig HardLabel { get; init; } = new() { Origins = ["exposed", "sampled"] };

    /// <summary>Weight of the softmax cross entropy over each impression, beside the binary one; 0: none.</summary>
    public double ListwiseWeight { get; init; }

    /// <summary>Where the logits begin: the log-odds of a positive, if known.</summary>
    public float InitialLogit { get; init; }

    /// <summary>The version goes up by one after so many steps while streaming.</summary>
    public int BatchesPerVersion { get; init; } = 32;

    /// <summary>Of a click log, learn at most the last so many impressions before the replay.</summary>
    public int PreparationImpressions { get; init; } = 45_000;

    /// <summary>Also stream the privileged columns; the Distiller's own teachers would need them.</summary>
    public bool StreamPrivileged { get; init; } = true;

    /// <summary>The teachers of <c>kd distill train</c> and <c>compare</c>, trained from files; nothing of it holds for a teacher that streams.</summary>
    public OfflineTeacherConfig Offline { get; init; } = new();

    /// <exception cref="ContractException">The file is missing, or a field is not valid; names it.</exception>
    public static TeacherConfig Load(string path)
    {
        if (!File.Exists(path))
            throw new ContractException("teacher.json", $"no file {path}; pass --config");
        try
        {
            return (JsonSerializer.Deserialize<TeacherConfig>(File.ReadAllText(path), ContractJson.Options)
                ?? throw new ContractException("teacher.json", "is empty")).Require();
        }
        catch (JsonException e)
        {
            throw new ContractException("teacher.json", $"is not valid: {e.Message}");
        }
    }

    /// <summary>This configuration, if every field is valid.</summary>
    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public TeacherConfig Require()
    {
        Identifier.Require(Name, "name");
        Range(CrossLayers, 0, MaxLayers, "cross_layers");
        Range(CrossRank, 0, MaxWidth, "cross_rank");
        Range(Deep.Count, 0, MaxLayers, "deep (its number of layers)");
        foreach (var width in Deep)
            Range(width, 1, MaxWidth, "deep");
        if (CrossLayers == 0 && Deep.Count == 0)
            throw new ContractException("deep", "must list a layer when cross_layers is 0");
        Positive(LearningRate, "learning_rate");
        Positive(EmbeddingLearningRate, "embedding_learning_rate");
        Range(BatchImpressions, 1, 4096, "batch_impressions");
        if (!(ListwiseWeight >= 0) || !double.IsFinite(ListwiseWeight))
            throw new ContractException("listwise_weight", "must be 0 or more");
        if (!(MathF.Abs(InitialLogit) <= 20))
            throw new ContractException("initial_logit", "must lie between -20 and 20");
        Range(BatchesPerVersion, 1, 1_000_000, "batches_per_version");
        Range(PreparationImpressions, 0, int.MaxValue, "preparation_impressions");
        _ = new HardLabelLoss(HardLabel);
        Offline.Require("offline");
        return this;
    }

    private static void Range(int value, int low, int high, string field)
    {
        if (value < low || value > high)
            throw new ContractException(field, $"is {value}; must be from {low} to {high}");
    }

    private static void Positive(double value, string field)
    {
        if (!(value > 0) || !double.IsFinite(value))
            throw new ContractException(field, "must be above 0");
    }
}
