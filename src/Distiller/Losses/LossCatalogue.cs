using KdServing.Contracts;

namespace KdServing.Distiller.Losses;

/// <summary>Every loss a <c>kd</c> entry can name. A new loss is a class and a line here.</summary>
public static class LossCatalogue
{
    private static readonly SortedDictionary<string, Func<KdLossConfig, string, DistillationLoss>> Losses = new(StringComparer.Ordinal)
    {
        ["BINARY_CROSS_ENTROPY_LOSS"] = BinaryCrossEntropyLoss.Create,
        ["BINARY_FOCAL_LOSS"] = BinaryFocalLoss.Create,
        ["CLASSIFICATION"] = ClassificationLoss.Create,
        ["COPR_LOSS"] = CoprLoss.Create,
        ["CROSS_ENTROPY_LOSS"] = CrossEntropyLoss.Create,
        ["F1_REWEIGHTED_LOSS"] = F1ReweightedLoss.Create,
        ["HINTON_LOSS"] = HintonLoss.Create,
        ["INFO_NCE_LOSS"] = InfoNceLoss.Create,
        ["JRC_LOSS"] = JrcLoss.Create,
        ["KL_DIVERGENCE_LOSS"] = KlDivergenceLoss.Create,
        ["L2_LOSS"] = SquaredLoss.Create,
        ["LISTWISE_DISTILL_LOSS"] = ListwiseDistillLoss.Create,
        ["LISTWISE_PROB_LOSS"] = ListwiseProbLoss.Create,
        ["LISTWISE_RANK_LOSS"] = ListwiseRankLoss.Create,
        ["ORDER_CALIBRATE_LOSS"] = OrderCalibrateLoss.Create,
        ["PAIRWISE_FOCAL_LOSS"] = PairwiseFocalLoss.Create,
        ["PAIRWISE_HINGE_LOSS"] = PairwiseHingeLoss.Create,
        ["PAIRWISE_LOGISTIC_LOSS"] = PairwiseLogisticLoss.Create,
        ["PAIR_WISE_LOSS"] = MarginPairLoss.Create,
        ["RANKING_DISTILLATION_LOSS"] = RankingDistillationLoss.Create,
        ["RRD_LOSS"] = RrdLoss.Create,
        ["SIGMOID_L2_LOSS"] = SquaredLoss.Create,
    };

    /// <summary>EasyRec's other loss types. Its own <c>kd</c> refuses most of them too; the rest has no parameters or no meaning there.</summary>
    private static readonly HashSet<string> NotForKd =
    [
        "CIRCLE_LOSS", "MULTI_SIMILARITY_LOSS", "SOFTMAX_CROSS_ENTROPY",
        "SOFTMAX_CROSS_ENTROPY_WITH_NEGATIVE_MINING", "ZILN_LOSS",
    ];

    /// <summary>Names a <c>loss_type</c> can have.</summary>
    public static IReadOnlyCollection<string> Names => Losses.Keys;

    /// <param name="field">Where the entry stands, e.g. <c>kd[1]</c>.</param>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        if (config.LossType is null || !Losses.TryGetValue(config.LossType, out var create))
        {
            var problem = config.LossType is null ? "is missing"
                : NotForKd.Contains(config.LossType) ? $"'{config.LossType}' cannot be used in kd"
                : $"'{config.LossType}' is unknown";
            throw new ContractException($"{field}.loss_type", $"{problem}; one of {string.Join(", ", Losses.Keys)}");
        }
        RequireWeight(config.LossWeight, $"{field}.loss_weight");
        config.WeightSchedule?.Require($"{field}.weight_schedule");
        var loss = create(config, field);
        RequireTaskSpace(config, field, loss);
        return loss;
    }

    private static void RequireTaskSpace(KdLossConfig config, string field, DistillationLoss loss)
    {
        RequireWeight(config.InTaskSpaceWeight, $"{field}.in_task_space_weight");
        RequireWeight(config.OutTaskSpaceWeight, $"{field}.out_task_space_weight");
        if (config.TaskSpaceIndicatorName is null != config.TaskSpaceIndicatorValue is null)
        {
            throw new ContractException($"{field}.task_space_indicator_{(config.TaskSpaceIndicatorName is null ? "name" : "value")}",
                "is missing; give task_space_indicator_name and task_space_indicator_value together");
        }
        var weighs = config.InTaskSpaceWeight != 1 || config.OutTaskSpaceWeight != 1;
        if (weighs && config.TaskSpaceIndicatorName is null && !config.EasyrecCompat)
        {
            throw new ContractException($"{field}.task_space_indicator_name",
                "is missing; in_task_space_weight and out_task_space_weight have no effect without it");
        }
        if (config.TaskSpaceIndicatorName is not null && !loss.TakesWeights)
        {
            throw new ContractException($"{field}.task_space_indicator_name",
                $"'{config.TaskSpaceIndicatorName}' is given, but {config.LossType} cannot weigh single candidates{(config.EasyrecCompat ? " in EasyRec" : "")}; leave it out");
        }
    }

    private static void RequireWeight(double weight, string field)
    {
        if (!double.IsFinite(weight) || weight < 0)
            throw new ContractException(field, FormattableString.Invariant($"is {weight}; must be 0 or more"));
    }
}
