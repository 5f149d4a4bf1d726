namespace KdServing.Distiller.Methods;

/// <summary>How a teacher's hidden vectors lie to each other, or what they hold.</summary>
internal static class RelationPresets
{
    public static IReadOnlyList<Preset> All { get; } =
    [
        Of("rkd", "Distances and angles between a session's candidates, as in the teacher's space.", "Park et al. 2019, arXiv:1904.05068", RelationKind.Relational),
        Of("ftd", "All cosine similarities of a session's candidates, as in the teacher's space.", "Kang et al. 2021 (topology distillation)", RelationKind.FullTopology),
        Of("htd", "Similarities within groups and to groups, which experts choose.", "Kang et al. 2021 (topology distillation)", RelationKind.HierarchicalTopology),
        Of("de", "Experts rebuild the teacher's vectors from the student's.", "Kang et al. 2020 (DE-RRD)", RelationKind.Experts),
        Of("info_nce", "A candidate's vector is nearer to its own teacher vector than to its rivals'.", "EasyRec info_nce", RelationKind.InfoNce),
    ];

    private static Preset Of(string name, string summary, string source, RelationKind kind) => Preset.OfJoint<RelationOptions>(name, summary, source,
        (o, r) => JointPresets.OnVectors(o, r, c => new RelationHint(c, o.TeacherWidth, kind, o)));
}
