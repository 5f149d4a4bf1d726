using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Methods;

/// <summary>The teacher's best candidates teach more than the rest.</summary>
internal static class RankingPresets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        Preset.OfResponse<RankingDistillationOptions>("ranking_distillation", "The teacher's top K of a session are further positives.", "Tang, Wang 2018, arXiv:1809.07428",
            (o, r) =>
            {
                var waits = o.Weighting == RankWeighting.Hybrid && o.HybridAfterSteps > 0;
                return Beside(r, o, o.LogitWeight,
                [
                    .. waits ? Entry(r, o, "top_k_places", RankWeighting.Position, new() { From = 1, To = 0, Start = o.HybridAfterSteps }) : [],
                    .. Entry(r, o, "top_k", o.Weighting, waits ? new() { From = 0, To = 1, Start = o.HybridAfterSteps } : null),
                ]);
            }),
        Preset.OfResponse<RrdOptions>("rrd", "The teacher's order of interesting candidates, above all uninteresting ones.", "Kang et al. 2020 (DE-RRD)",
            (o, r) => Beside(r, o, o.LogitWeight, KdEntry.ForEveryTarget(r.Schema, "rrd", KdEntry.Of("RRD_LOSS", "rrd_loss", new()
            {
                ["session_name"] = ListwiseLoss.TrainingSession,
                ["interesting"] = o.Interesting,
                ["uninteresting"] = o.Uninteresting,
                ["rank_temperature"] = o.RankTemperature,
                ["sample"] = o.Sample,
            }) with { LossWeight = o.LossWeight }, r.SoftLabel(o.Teacher)))),
    ];

    private static Recipe Beside(PresetRequest request, ResponseOptions options, double logitWeight, IEnumerable<KdLossConfig> entries) => new()
    {
        HardLabel = request.Config.HardLabel,
        Kd =
        [
            .. entries,
            .. logitWeight == 0 ? [] : KdEntry.ForEveryTarget(request.Schema, "logits", LabelPresets.Soft(logitWeight, options.Temperature), request.SoftLabel(options.Teacher)),
        ],
    };

    private static IEnumerable<KdLossConfig> Entry(PresetRequest request, RankingDistillationOptions options, string name, RankWeighting weighting, Schedule? schedule) =>
        KdEntry.ForEveryTarget(request.Schema, name, KdEntry.Of("RANKING_DISTILLATION_LOSS", "ranking_distillation_loss", new JsonObject
        {
            ["session_name"] = ListwiseLoss.TrainingSession,
            ["k"] = options.K,
            ["lambda"] = options.Lambda,
            ["mu"] = options.Mu,
            ["weighting"] = JsonNamingPolicy.SnakeCaseLower.ConvertName(weighting.ToString()),
        }) with
        { LossWeight = options.LossWeight, WeightSchedule = schedule }, request.SoftLabel(options.Teacher));
}
