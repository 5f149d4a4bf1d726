using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>Every loss a <c>kd</c> entry can name. A new loss is a class and a line here.</summary>
public static class LossCatalogue
{
    private static readonly SortedDictionary<string, Func<KdLossConfig, string, DistillationLoss>> Losses = new(StringComparer.Ordinal)
    {
        ["BINARY_CROSS_ENTROPY_LOSS"] = BinaryCrossEntropyLoss.Create,
        // A student has one logit a target, for which EasyRec's cross entropy is the binary one.
        ["CROSS_ENTROPY_LOSS"] = BinaryCrossEntropyLoss.Create,
        ["KL_DIVERGENCE_LOSS"] = KlDivergenceLoss.Create,
        ["LISTWISE_RANK_LOSS"] = ListwiseRankLoss.Create,
    };

    /// <summary>Names a <c>loss_type</c> can have.</summary>
    public static IReadOnlyCollection<string> Names => Losses.Keys;

    /// <param name="field">Where the entry stands, e.g. <c>kd[1]</c>.</param>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        if (config.LossType is null || !Losses.TryGetValue(config.LossType, out var create))
            throw new ContractException($"{field}.loss_type", $"'{config.LossType}' is unknown; one of {string.Join(", ", Losses.Keys)}");
        if (!double.IsFinite(config.LossWeight) || config.LossWeight < 0)
            throw new ContractException($"{field}.loss_weight", $"is {config.LossWeight}; must be 0 or more");
        return create(config, field);
    }
}
