using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>One entry of the <c>kd</c> list: EasyRec's KD message, field for field, and <c>scale_by_t2</c>, <c>weight_schedule</c>, <c>easyrec_compat</c>.</summary>
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

    /// <summary>Multiply by T², so that the gradient keeps its size when T grows (Hinton 2015). EasyRec does not; by default only HINTON_LOSS does.</summary>
    public bool? ScaleByT2 { get; init; }

    /// <summary>Do what EasyRec's code does, where that is not what it says or not what is right.</summary>
    public bool EasyrecCompat { get; init; }

    /// <summary>Column that says whether a candidate is in the task's space; with <see cref="TaskSpaceIndicatorValue"/> or not at all.</summary>
    public string? TaskSpaceIndicatorName { get; init; }

    /// <summary>The value of a candidate that is in it.</summary>
    public string? TaskSpaceIndicatorValue { get; init; }

    public double InTaskSpaceWeight { get; init; } = 1;

    /// <summary>Weight of the others; 0 leaves them out of the mean, anything else only scales their terms.</summary>
    public double OutTaskSpaceWeight { get; init; } = 1;

    /// <summary>Multiplies <see cref="LossWeight"/> as training goes on; null: always 1. Ours, as <see cref="ScaleByT2"/> is.</summary>
    public Schedule? WeightSchedule { get; init; }

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
            if (key == name)
                continue;
            throw new ContractException($"{field}.{key}", key.EndsWith("_loss", StringComparison.Ordinal)
                ? $"does not belong to {LossType}, which has {(name is null ? "no block of its own" : $"the block '{name}'")}"
                : $"is unknown; one of {string.Join(", ", ConfigBlock.Fields(typeof(KdLossConfig)))}{(name is null ? "" : $", {name}")}");
        }
        return name is null || Blocks is null || !Blocks.TryGetValue(name, out var block) ? new() : ConfigBlock.Read<T>(block, $"{field}.{name}");
    }
}

/// <summary>The block of a loss that has none.</summary>
public sealed record NoBlock;
