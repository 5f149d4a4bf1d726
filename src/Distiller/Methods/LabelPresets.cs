using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Methods;

/// <summary>What soft labels are made of, whom they reach, and how much they count.</summary>
internal static class LabelPresets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        Preset.OfResponse<AuxiliaryOptions>("auxiliary_head", "The teacher speaks to a second head on the same trunk; the served head hears labels only.",
            "Khani et al. 2024, arXiv:2408.14678", (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                Heads = [AuxiliaryHead.Head],
                Parts = [c => new AuxiliaryHead(c, o.Hidden, o.From == GuidedLayer.Lower)],
                Kd = [.. KdEntry.ForEveryTarget(r.Schema, "aux", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o), r.SoftLabel(o.Teacher), AuxiliaryHead.Head)],
            }),
        Preset.OfResponse<AdapterOptions>("adapter", "The student imitates a correction of the teacher that is learned from labels.",
            "ExFM 2025, arXiv:2502.17494", (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                Sources = r.Sources(o.Teacher),
                SoftLabels = [TeacherAdapter.Name],
                Parts = [c => new TeacherAdapter(c, r.Sources(o.Teacher), o.Layers, o.Context)],
                Kd = [.. KdEntry.ForEveryTarget(r.Schema, "adapter", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o), TeacherAdapter.Name)],
            }),
        Preset.OfResponse<AdapterOptions>("auxiliary_adapter", "Auxiliary head and adapter together, as ExFM has them.", "ExFM 2025, arXiv:2502.17494",
            (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                Sources = r.Sources(o.Teacher),
                SoftLabels = [TeacherAdapter.Name],
                Heads = [AuxiliaryHead.Head],
                Parts = [c => new TeacherAdapter(c, r.Sources(o.Teacher), o.Layers, o.Context), c => new AuxiliaryHead(c, [], readsLower: false)],
                Kd = [.. KdEntry.ForEveryTarget(r.Schema, "aux", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o), TeacherAdapter.Name, AuxiliaryHead.Head)],
            }),
        Preset.OfResponse<AgeOptions>("teacher_age", "Labels of an older teacher weigh less; too old ones are refused.", "kd-reference section 6, consequence 5",
            (o, r) => ResponsePresets.One(r, o, "aged", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o)) with { Parts = [c => new TeacherAge(c, o)] }),
        Preset.OfResponse<ResponseOptions>("unexposed", "Soft labels for what was not exposed; exposed candidates keep their hard labels.",
            "UKDSL 2025, arXiv:2502.06834; Zhang et al. 2022, arXiv:2205.01289",
            (o, r) => ResponsePresets.One(r, o, "unexposed", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o) with
            {
                TaskSpaceIndicatorName = "origin",
                TaskSpaceIndicatorValue = "exposed",
                InTaskSpaceWeight = 0,
            }) with { HardLabel = r.Config.HardLabel with { Origins = ["exposed"] } }, PresetNeeds.Unexposed),
        Preset.OfResponse<EnsembleOptions>("ensemble", "Several teachers, weighed for each candidate by a gate that learns.", "Zhu et al. 2020, arXiv:2011.04106",
            (o, r) =>
            {
                var teachers = r.Schema.Targets.Select(t => (IReadOnlyList<SoftLabelSource>)[.. o.Teachers.Select(name => new SoftLabelSource(name, t))]).ToList();
                return new()
                {
                    HardLabel = r.Config.HardLabel,
                    Sources = [.. teachers.SelectMany(t => t)],
                    SoftLabels = [TeacherEnsemble.Name],
                    Parts = [c => new TeacherEnsemble(c, teachers, o)],
                    Kd = [.. KdEntry.ForEveryTarget(r.Schema, "ensemble", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o), TeacherEnsemble.Name)],
                };
            }, PresetNeeds.SeveralTeachers),
        Preset.OfResponse<JrcOptions>("jrc", "Joint ranking and calibration on the labels, imitation of the teacher beside it.", "Sheng et al. 2022, arXiv:2208.06164",
            (o, r) => ResponsePresets.One(r, o, "bce_soft", ResponsePresets.Plain("BINARY_CROSS_ENTROPY_LOSS", o)) with
            {
                HardLabel = r.Config.HardLabel with { Weight = 0 },
                Parts = [c => new JointRankingCalibration(c, o)],
            }),
        Preset.Of<SelfOptions>("self_distillation", "Further layers on the student learn too and teach it; no teacher is needed.",
            "Zhang et al. 2019, arXiv:1905.08094", PresetNeeds.None, (o, r) => o.Require(r.Field), (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                SoftLabels = [DeepExit.Name],
                Heads = [DeepExit.Name],
                Parts = [c => new DeepExit(c, o.Layers, o.DeepWeight)],
                Kd =
                [
                    .. KdEntry.ForEveryTarget(r.Schema, "self", Soft(o.LossWeight, o.Temperature), DeepExit.Name),
                    .. o.TeacherWeight == 0 ? [] : KdEntry.ForEveryTarget(r.Schema, "deep_teacher", Soft(o.TeacherWeight, o.Temperature), SoftLabelSource.AnyTeacher, DeepExit.Name),
                ],
            }),
    ];

    /// <summary>Cross entropy of a soft label.</summary>
    public static KdLossConfig Soft(double weight, double temperature = 1) =>
        new() { LossType = "BINARY_CROSS_ENTROPY_LOSS", LossWeight = weight, Temperature = temperature };
}
