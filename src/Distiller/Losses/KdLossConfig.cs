using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>One entry of the <c>kd</c> list: EasyRec's KD message, field for field, and <c>scale_by_t2</c>.</summary>
public sealed record KdLossConfig
{
    /// <summary>Key of the loss; by default <c>kd_loss_PRED_SOFTLABEL</c>, as EasyRec derives it.</summary>
    public string? LossName { get; init; }

    /// <summary><c>logits</c> (one target) or <c>logits_TARGET</c>; <c>probs</c> and <c>probs_TARGET</c> likewise.</summary>
    public string? PredName { get; init; }

    public bool PredIsLogits { get; init; } = true;

    /// <summary><c>TEACHER/TARGET</c>, or <c>teacher_logits</c> for the record's first teacher.</summary>
    public string? SoftLabelName { get; init; }

    public bool LabelIsLogits { get; init; } = true;

    /// <summary>A name of <see cref="LossCatalogue"/>.</summary>
    public string? LossType { get; init; }

    public double LossWeight { get; init; } = 1;

    /// <summary>Divides both logits. Pointwise losses only: pairwise and listwise ones have their own.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Multiply by T², so that the gradient keeps its size when T grows (Hinton 2015). EasyRec does not.</summary>
    public bool ScaleByT2 { get; init; }

    /// <summary>The loss' own block, e.g. <c>listwise_rank_loss</c>.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Blocks { get; init; }

    /// <summary>The name in logs and metrics.</summary>
    [JsonIgnore]
    public string Name => LossName ?? $"kd_loss_{PredName}_{SoftLabelName}".Replace('/', '_');

    /// <summary>Reads the loss' own block; anything else beside the known fields is refused.</summary>
    /// <param name="name">The block's name; null for a loss without one.</param>
    /// <returns>The block, or the defaults when it is not written.</returns>
    /// <exception cref="ContractException">An unknown field, or a block that does not belong to this loss.</exception>
    public T Block<T>(string? name, string field) where T : new()
    {
        foreach (var key in Blocks?.Keys ?? Enumerable.Empty<string>())
        {
            if (key != name)
            {
                throw new ContractException($"{field}.{key}", name is null
                    ? $"is unknown for {LossType}"
                    : $"is unknown for {LossType}; its own block is '{name}'");
            }
        }
        if (name is null || Blocks?.GetValueOrDefault(name) is not { ValueKind: not JsonValueKind.Undefined } block)
            return new();
        try
        {
            return block.Deserialize<T>(ContractJson.Options) ?? new();
        }
        catch (JsonException e)
        {
            throw new ContractException($"{field}.{name}", $"is not valid: {e.Message}");
        }
    }
}

/// <summary>The block of a loss that has none.</summary>
public sealed record NoBlock;
