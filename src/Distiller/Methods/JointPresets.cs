using KdServing.Contracts;

namespace KdServing.Distiller.Methods;

/// <summary>A teacher network trains beside the student; nothing need be streamed but records with labels.</summary>
internal static class JointPresets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        Preset.OfJoint<RocketOptions>("rocket", "A booster on the student's lower layers; the student follows its logits.", "Zhou et al. 2018, arXiv:1708.04106",
            (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                ReadsPrivileged = o.Privileged,
                StopsAtLower = o.Share == RocketShare.Stop,
                SoftLabels = [JointTeacher.Name],
                Parts =
                [
                    c => new JointTeacher(c, o.Describe(JointInput.Lower)),
                    .. o.FeatureHint == LayerHintKind.None ? [] : (Func<PartContext, MethodPart>[])[_ => LayerHint.Of(o, r)],
                ],
                Kd = [.. KdEntry.ForEveryTarget(r.Schema, "hint", new() { LossType = "L2_LOSS", LossWeight = o.Lambda }, JointTeacher.Name)],
            }),
        Preset.OfJoint<PfdOptions>("pfd", "A teacher that sees privileged features, embeddings shared.", "Xu et al. 2020, arXiv:1907.05171",
            (o, r) => Pfd(o, r), PresetNeeds.Privileged),
        Preset.OfJoint<PfdOptions>("pfd_star", "As pfd, but the user's embeddings are the teacher's own (Share*).", "Xu et al. 2020, arXiv:1907.05171",
            (o, r) => Pfd(o.OwnEmbeddings.Count > 0 ? o : o with { OwnEmbeddings = [.. r.Schema.User.Features.Where(f => f.Table >= 0).Select(f => f.Name).Take(1)] }, r),
            PresetNeeds.Privileged),
        Preset.OfJoint<DualDnnOptions>("dual_dnn", "A teacher with an interaction layer on shared embeddings; logits and hidden layer are transferred.", "iQIYI 2020",
            (o, r) => new()
            {
                HardLabel = r.Config.HardLabel,
                ReadsPrivileged = o.Privileged,
                SoftLabels = [JointTeacher.Name],
                Parts =
                [
                    c => new JointTeacher(c, o.Describe(JointInput.Embeddings)),
                    c => new FeatureHint(c, o.Layers[^1], new() { Weight = o.HiddenWeight }),
                ],
                Kd = [.. KdEntry.ForEveryTarget(r.Schema, "logits", LabelPresets.Soft(o.LogitWeight), JointTeacher.Name)],
            }),
        Preset.OfJoint<FitNetsOptions>("fitnets", "Three stages: teacher, student up to a guided layer, whole student.", "Romero et al. 2015, arXiv:1412.6550",
            (o, r) =>
            {
                RequireNoSchedule(r);
                var third = o.TeacherSteps + o.HintSteps;
                return new()
                {
                    HardLabel = r.Config.HardLabel with { WeightSchedule = new() { From = 0, To = 1, Start = third } },
                    ReadsPrivileged = o.Privileged,
                    SoftLabels = [JointTeacher.Name],
                    Parts =
                    [
                        c => new JointTeacher(c, o.Describe(JointInput.Embeddings, o.TeacherSteps)),
                        c => new FeatureHint(c, o.Layers[^1], new() { Guided = o.Guided, FromStep = o.TeacherSteps, UntilStep = third }),
                    ],
                    Kd = [.. KdEntry.ForEveryTarget(r.Schema, "soft", LabelPresets.Soft(1, o.Temperature) with
                    {
                        WeightSchedule = new() { Before = 0, From = o.LambdaFrom, To = o.LambdaTo, Start = third, Steps = o.LambdaSteps },
                    }, JointTeacher.Name)],
                };
            }),
        Preset.OfJoint<FeatureHintOptions>("feature_hint", "The student's hidden layer, through a regressor, imitates a teacher's.", "FitNets' hint; Zhu et al. 2020",
            (o, r) => OnVectors(o, r, c => new FeatureHint(c, o.TeacherWidth, new() { Guided = o.Guided, Weight = o.HintWeight, DimensionWeights = o.DimensionWeights }))),
    ];

    /// <summary>A recipe whose teacher, joint or streamed, brings logits and hidden vectors.</summary>
    /// <param name="hint">The part that uses the vectors.</param>
    public static Recipe OnVectors(VectorOptions options, PresetRequest request, Func<PartContext, MethodPart> hint)
    {
        var isJoint = options.HiddenFrom == VectorsFrom.Joint;
        var softLabel = isJoint ? JointTeacher.Name : request.SoftLabel(options.Teacher);
        return new()
        {
            HardLabel = request.Config.HardLabel,
            ReadsPrivileged = isJoint && options.Privileged,
            SoftLabels = isJoint ? [JointTeacher.Name] : [],
            Hidden = isJoint ? null : new(new(options.Teacher, request.Schema.Targets[0]), options.HiddenWidth!.Value),
            Parts =
            [
                isJoint ? c => new JointTeacher(c, options.Describe(JointInput.Embeddings)) : _ => new StreamVectors(options.HiddenWidth!.Value),
                hint,
            ],
            Kd = options.LogitWeight == 0 ? [] : [.. KdEntry.ForEveryTarget(request.Schema, "logits", LabelPresets.Soft(options.LogitWeight), softLabel)],
        };
    }

    private static Recipe Pfd(PfdOptions o, PresetRequest r)
    {
        RequireNoSchedule(r);
        return new()
        {
            HardLabel = r.Config.HardLabel with { WeightSchedule = new() { From = 1, To = 1 - o.Lambda, Start = o.WarmUpSteps, Steps = o.RampSteps } },
            ReadsPrivileged = o.Privileged,
            SoftLabels = [JointTeacher.Name],
            Parts = [c => new JointTeacher(c, o.Describe(JointInput.Embeddings))],
            Kd = [.. KdEntry.ForEveryTarget(r.Schema, "privileged", LabelPresets.Soft(1) with
            {
                WeightSchedule = new() { From = 0, To = o.Lambda, Start = o.WarmUpSteps, Steps = o.RampSteps },
            }, JointTeacher.Name)],
        };
    }

    private static void RequireNoSchedule(PresetRequest request)
    {
        if (request.Config.HardLabel.WeightSchedule is not null)
            throw new ContractException("hard_label.weight_schedule", $"must be absent with preset '{request.Field}', which has a schedule of its own");
    }
}
