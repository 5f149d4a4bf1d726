using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Methods;

/// <summary>One loss, or two, on the logits that a teacher streams.</summary>
internal static class ResponsePresets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        Preset.OfResponse<ResponseOptions>("bce_soft", "Cross entropy of the teacher's probability, beside the labels.", "EasyRec BINARY_CROSS_ENTROPY_LOSS",
            (o, r) => One(r, o, "bce_soft", Plain("BINARY_CROSS_ENTROPY_LOSS", o))),
        Preset.OfResponse<HintonOptions>("hinton", "alpha·labels + (1 − alpha)·T²·KL to the softened teacher.", "Hinton, Vinyals, Dean 2015, arXiv:1503.02531",
            (o, r) => One(r, o, "hinton", Plain("KL_DIVERGENCE_LOSS", o) with { ScaleByT2 = true, LossWeight = o.LossWeight * (1 - o.Alpha) })
                with { HardLabel = r.Config.HardLabel with { Weight = r.Config.HardLabel.Weight * o.Alpha } }),
        Preset.OfResponse<ResponseOptions>("kl", "KL divergence to the softened teacher.", "EasyRec KL_DIVERGENCE_LOSS",
            (o, r) => One(r, o, "kl", Plain("KL_DIVERGENCE_LOSS", o))),
        Preset.OfResponse<ResponseOptions>("l2_logit", "Squared difference of the logits.", "EasyRec L2_LOSS",
            (o, r) => One(r, RequireNoTemperature(o, r), "l2_logit", Plain("L2_LOSS", o))),
        Preset.OfResponse<ResponseOptions>("focal", "Focal cross entropy of the teacher's probability: what fits already counts less.", "EasyRec BINARY_FOCAL_LOSS",
            (o, r) => One(r, RequireNoTemperature(o, r), "focal", Plain("BINARY_FOCAL_LOSS", o))),
        Preset.OfResponse<ResponseOptions>("f1_reweighted", "Cross entropy of the teacher's probability, negatives weighed for F1.", "EasyRec F1_REWEIGHTED_LOSS",
            (o, r) => One(r, RequireNoTemperature(o, r), "f1_reweighted", Plain("F1_REWEIGHTED_LOSS", o))),
        Preset.OfResponse<ResponseOptions>("listwise", "The softmax over a session against the teacher's (ListNet).", "EasyRec LISTWISE_RANK_LOSS",
            (o, r) => One(r, o, "listwise", List(o))),
        Preset.OfResponse<ResponseOptions>("listwise_prob", "Shares of a session's probability against the teacher's: a list loss that keeps calibration.", "after CLID, arXiv:2312.08727",
            (o, r) => One(r, o, "listwise_prob", Sessions("LISTWISE_PROB_LOSS", "listwise_prob_loss", o))),
        Preset.OfResponse<ResponseOptions>("listwise_place", "The softmax over a session against gains of the teacher's places.", "EasyRec LISTWISE_DISTILL_LOSS",
            (o, r) => One(r, o, "listwise_place", Sessions("LISTWISE_DISTILL_LOSS", "listwise_distill_loss", o))),
        Preset.OfResponse<ResponseOptions>("pairwise_hinge", "Pairs as far apart as the teacher has them.", "EasyRec PAIRWISE_HINGE_LOSS",
            (o, r) => One(r, o, "pairwise_hinge", Sessions("PAIRWISE_HINGE_LOSS", "pairwise_hinge_loss", o))),
        Preset.OfResponse<ResponseOptions>("pairwise_logistic", "Pairs in the teacher's order (RankNet).", "EasyRec PAIRWISE_LOGISTIC_LOSS",
            (o, r) => One(r, o, "pairwise_logistic", Sessions("PAIRWISE_LOGISTIC_LOSS", "pairwise_logistic_loss", o))),
        Preset.OfResponse<ResponseOptions>("pairwise_focal", "Pairs in the teacher's order, hard ones weighing more.", "EasyRec PAIRWISE_FOCAL_LOSS",
            (o, r) => One(r, o, "pairwise_focal", Sessions("PAIRWISE_FOCAL_LOSS", "pairwise_focal_loss", o))),
        Preset.OfResponse<ResponseOptions>("copr", "Pairs in the teacher's order, weighed by what their exchange costs in DCG.", "after COPR, arXiv:2306.03516",
            (o, r) => One(r, RequireNoTemperature(o, r), "copr",
                KdEntry.Of("COPR_LOSS", "copr_loss", new() { ["session_name"] = ListwiseLoss.TrainingSession }) with { LossWeight = o.LossWeight })),
        Preset.OfResponse<PointAndListOptions>("point_and_list", "bce_soft and listwise together: calibration and order.", "EasyRec kd list of two entries",
            (o, r) => One(r, o, "point", Plain("BINARY_CROSS_ENTROPY_LOSS", o)) with
            {
                Kd =
                [
                    .. KdEntry.ForEveryTarget(r.Schema, "point", Plain("BINARY_CROSS_ENTROPY_LOSS", o), r.SoftLabel(o.Teacher)),
                    .. KdEntry.ForEveryTarget(r.Schema, "list", List(o with { LossWeight = o.ListWeight, Temperature = o.ListTemperature }), r.SoftLabel(o.Teacher)),
                ],
            }),
    ];

    /// <summary>An entry whose temperature is its own.</summary>
    public static KdLossConfig Plain(string lossType, ResponseOptions options) =>
        new() { LossType = lossType, LossWeight = options.LossWeight, Temperature = options.Temperature };

    /// <summary>ListNet on logits.</summary>
    public static KdLossConfig List(ResponseOptions options) =>
        KdEntry.OfSessions("LISTWISE_RANK_LOSS", "listwise_rank_loss", options.Temperature, ("label_is_logits", true)) with { LossWeight = options.LossWeight };

    /// <summary>Labels as configured, and one entry a target.</summary>
    public static Recipe One(PresetRequest request, ResponseOptions options, string name, KdLossConfig entry) => new()
    {
        HardLabel = request.Config.HardLabel,
        Kd = [.. KdEntry.ForEveryTarget(request.Schema, name, entry, request.SoftLabel(options.Teacher))],
    };

    private static KdLossConfig Sessions(string lossType, string block, ResponseOptions options) =>
        KdEntry.OfSessions(lossType, block, options.Temperature) with { LossWeight = options.LossWeight };

    private static ResponseOptions RequireNoTemperature(ResponseOptions options, PresetRequest request) => options.Temperature == 1
        ? options
        : throw new Contracts.ContractException($"{request.Field}.temperature", "is not used by this preset; leave it out");
}
