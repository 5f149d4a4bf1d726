using KdServing.Contracts;

namespace KdServing.Distiller.Methods;

/// <summary>What the presets with a joint teacher have in common.</summary>
public abstract record JointOptions
{
    /// <summary>Widths of the teacher's hidden layers.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [128, 64];

    /// <summary>DCN-V2 cross layers of the teacher, beside them.</summary>
    public int CrossLayers { get; init; }

    /// <summary>Show the teacher the schema's privileged features.</summary>
    public bool Privileged { get; init; }

    /// <summary>Features whose rows the teacher does not share with the student, or <c>all</c>.</summary>
    public IReadOnlyList<string> OwnEmbeddings { get; init; } = [];

    /// <summary>Weight of the teacher's loss on hard labels.</summary>
    public double TeacherWeight { get; init; } = 1;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public virtual void Require(string field, FeatureSchema schema)
    {
        Checks.Widths(Layers, $"{field}.layers");
        if (CrossLayers is < 0 or > 8)
            throw new ContractException($"{field}.cross_layers", $"is {CrossLayers}; must be from 0 to 8");
        if (Layers.Count == 0)
            throw new ContractException($"{field}.layers", "must list at least one width");
        if (Privileged && schema.Privileged.Width == 0)
            throw new ContractException($"{field}.privileged", "is true, but the schema has no features of side 'privileged'; add them or set it to false");
        OwnRows.Require(OwnEmbeddings, schema, $"{field}.own_embeddings");
        Checks.Positive(TeacherWeight, $"{field}.teacher_weight");
    }

    /// <summary>The teacher they describe.</summary>
    internal JointTeacherOptions Describe(JointInput input, long learnsUntilStep = long.MaxValue) => new()
    {
        Layers = Layers,
        CrossLayers = CrossLayers,
        Input = input,
        Privileged = Privileged,
        OwnEmbeddings = OwnEmbeddings,
        LossWeight = TeacherWeight,
        LearnsUntilStep = learnsUntilStep,
    };
}

/// <summary>How student and booster share their lower layers.</summary>
public enum RocketShare
{
    /// <summary>Both train them, as the authors' code does.</summary>
    Gradient,

    /// <summary>The student reads a copy; only the booster trains them, as EasyRec's code does.</summary>
    Stop,
}

/// <summary>How two hidden layers of equal width are compared.</summary>
public enum LayerHintKind
{
    None,

    /// <summary>−mean cosine.</summary>
    Cosine,

    /// <summary>The root of the summed squared differences.</summary>
    Euclid,
}

/// <summary><c>rocket</c> block.</summary>
public sealed record RocketOptions : JointOptions
{
    /// <summary>λ: weight of the hint, mean (l − z)². The authors' commands have 0.03, EasyRec 1.</summary>
    public double Lambda { get; init; } = 0.03;

    public RocketShare Share { get; init; } = RocketShare.Gradient;

    /// <summary>A hint on hidden layers, too: the student's last one against the booster's first of equal width.</summary>
    public LayerHintKind FeatureHint { get; init; } = LayerHintKind.None;

    /// <summary>Weight of the feature hint; EasyRec has 0.1.</summary>
    public double FeatureHintWeight { get; init; } = 0.1;

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.NotNegative(FeatureHintWeight, $"{field}.feature_hint_weight");
        Checks.NotNegative(Lambda, $"{field}.lambda");
        if (OwnEmbeddings.Count > 0)
            throw new ContractException($"{field}.own_embeddings", "has no meaning here: the booster reads the student's lower layers; leave it out");
    }
}

/// <summary><c>pfd</c> and <c>pfd_star</c> blocks.</summary>
public sealed record PfdOptions : JointOptions
{
    public PfdOptions() => Privileged = true;

    /// <summary>λ: share of the distillation loss after the warm-up.</summary>
    public double Lambda { get; init; } = 0.5;

    /// <summary>k: steps with λ = 0, in which the teacher warms up. The paper has 10⁶ of its steps.</summary>
    public long WarmUpSteps { get; init; } = 1000;

    /// <summary>Steps over which λ rises; 0: at once, as in the paper.</summary>
    public long RampSteps { get; init; }

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.Fraction(Lambda, $"{field}.lambda");
        Checks.Steps(WarmUpSteps, $"{field}.warm_up_steps");
        Checks.Steps(RampSteps, $"{field}.ramp_steps");
    }
}

/// <summary><c>dual_dnn</c> block.</summary>
public sealed record DualDnnOptions : JointOptions
{
    public DualDnnOptions() => CrossLayers = 2;

    /// <summary>Weight of the logit transfer, cross entropy of the teacher's probability.</summary>
    public double LogitWeight { get; init; } = 1;

    /// <summary>Weight of the hidden transfer.</summary>
    public double HiddenWeight { get; init; } = 0.01;

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.NotNegative(LogitWeight, $"{field}.logit_weight");
        Checks.NotNegative(HiddenWeight, $"{field}.hidden_weight");
    }
}

/// <summary><c>fitnets</c> block.</summary>
public sealed record FitNetsOptions : JointOptions
{
    public FitNetsOptions()
    {
        OwnEmbeddings = [OwnRows.All];
        CrossLayers = 2;
    }

    /// <summary>Stage 1: the teacher trains.</summary>
    public long TeacherSteps { get; init; } = 1000;

    /// <summary>Stage 2: the student trains up to its guided layer, on the hint alone.</summary>
    public long HintSteps { get; init; } = 500;

    public GuidedLayer Guided { get; init; } = GuidedLayer.Lower;

    /// <summary>Stage 3: τ of the soft labels.</summary>
    public double Temperature { get; init; } = 3;

    /// <summary>Stage 3: λ at its beginning.</summary>
    public double LambdaFrom { get; init; } = 4;

    /// <summary>Stage 3: λ at its end.</summary>
    public double LambdaTo { get; init; } = 1;

    /// <summary>Stage 3: steps over which λ falls.</summary>
    public long LambdaSteps { get; init; } = 1000;

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.Steps(TeacherSteps, $"{field}.teacher_steps");
        Checks.Steps(HintSteps, $"{field}.hint_steps");
        Checks.Steps(LambdaSteps, $"{field}.lambda_steps");
        Checks.Positive(Temperature, $"{field}.temperature");
        Checks.NotNegative(LambdaFrom, $"{field}.lambda_from");
        Checks.NotNegative(LambdaTo, $"{field}.lambda_to");
    }
}

/// <summary>Where a teacher's hidden vectors come from.</summary>
public enum VectorsFrom
{
    /// <summary>A joint teacher.</summary>
    Joint,

    /// <summary><c>hidden</c> of the stream's records.</summary>
    Stream,
}

/// <summary>What the presets on hidden vectors have in common.</summary>
public abstract record VectorOptions : JointOptions
{
    protected VectorOptions() => CrossLayers = 2;

    public VectorsFrom HiddenFrom { get; init; } = VectorsFrom.Joint;

    /// <summary>Width of the stream's hidden vectors; needed with <c>hidden_from: stream</c>.</summary>
    public int? HiddenWidth { get; init; }

    /// <summary>The teacher that streams; null: the record's first.</summary>
    public string? Teacher { get; init; }

    public GuidedLayer Guided { get; init; } = GuidedLayer.Hidden;

    /// <summary>Weight of the imitation of the teacher's probabilities, beside the hint.</summary>
    public double LogitWeight { get; init; } = 1;

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.NotNegative(LogitWeight, $"{field}.logit_weight");
        if (HiddenFrom == VectorsFrom.Stream && HiddenWidth is not (>= 1 and <= 4096))
            throw new ContractException($"{field}.hidden_width", "must be the width of the streamed hidden vectors, from 1 to 4096, with hidden_from stream");
        if (HiddenFrom == VectorsFrom.Joint && (HiddenWidth is not null || Teacher is not null))
            throw new ContractException($"{field}.{(HiddenWidth is not null ? "hidden_width" : "teacher")}", "has no meaning for a joint teacher; leave it out or set hidden_from to stream");
    }

    /// <summary>Width of the vectors that are imitated.</summary>
    internal int TeacherWidth => HiddenFrom == VectorsFrom.Stream ? HiddenWidth!.Value : Layers[^1];
}

/// <summary><c>feature_hint</c> block.</summary>
public sealed record FeatureHintOptions : VectorOptions
{
    public double HintWeight { get; init; } = 0.01;

    /// <summary>Weight of each dimension of the teacher's vectors; null: all 1.</summary>
    public IReadOnlyList<double>? DimensionWeights { get; init; }

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.NotNegative(HintWeight, $"{field}.hint_weight");
        foreach (var weight in DimensionWeights ?? [])
            Checks.NotNegative(weight, $"{field}.dimension_weights");
        if (DimensionWeights is not null && DimensionWeights.Count != TeacherWidth)
            throw new ContractException($"{field}.dimension_weights", $"lists {DimensionWeights.Count} weights for vectors of width {TeacherWidth}; give one a dimension");
    }
}

/// <summary>What is compared of how vectors lie to each other.</summary>
public enum RelationKind
{
    /// <summary>Distances and angles.</summary>
    Relational,

    /// <summary>All cosine similarities.</summary>
    FullTopology,

    /// <summary>Similarities within and to groups.</summary>
    HierarchicalTopology,

    /// <summary>The vectors themselves, through experts.</summary>
    Experts,

    /// <summary>Each to its own teacher vector against the others'.</summary>
    InfoNce,
}

/// <summary><c>rkd</c>, <c>ftd</c>, <c>htd</c>, <c>de</c> and <c>info_nce</c> blocks.</summary>
public sealed record RelationOptions : VectorOptions
{
    public double Weight { get; init; } = 0.1;

    /// <summary>Candidates of a session that are compared; cost grows with its square, for angles with its cube.</summary>
    public int MaxCandidates { get; init; } = 16;

    /// <summary>rkd: weight of distances.</summary>
    public double DistanceWeight { get; init; } = 1;

    /// <summary>rkd: weight of angles; 0 spares their cost.</summary>
    public double AngleWeight { get; init; } = 2;

    /// <summary>htd, de: experts, which for htd are the groups.</summary>
    public int Experts { get; init; } = 8;

    /// <summary>htd: share of the topology beside that of the experts.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <summary>htd, de: τ of the Gumbel softmax at first.</summary>
    public double GumbelStart { get; init; } = 1;

    /// <summary>htd, de: τ in the end.</summary>
    public double GumbelEnd { get; init; } = 1e-3;

    /// <summary>htd, de: steps until then.</summary>
    public long GumbelSteps { get; init; } = 5000;

    /// <summary>info_nce: contrast all 2n vectors of both sides (NCE of CL4SRec) instead of the student's against the teacher's.</summary>
    public bool BothSides { get; init; }

    /// <summary>info_nce: divides the cosines.</summary>
    public double Temperature { get; init; } = 0.1;

    public override void Require(string field, FeatureSchema schema)
    {
        base.Require(field, schema);
        Checks.NotNegative(Weight, $"{field}.weight");
        Checks.NotNegative(DistanceWeight, $"{field}.distance_weight");
        Checks.NotNegative(AngleWeight, $"{field}.angle_weight");
        Checks.Fraction(Alpha, $"{field}.alpha");
        Checks.Positive(Temperature, $"{field}.temperature");
        Checks.Positive(GumbelStart, $"{field}.gumbel_start");
        Checks.Positive(GumbelEnd, $"{field}.gumbel_end");
        Checks.Steps(GumbelSteps, $"{field}.gumbel_steps");
        if (MaxCandidates is < 2 or > 128)
            throw new ContractException($"{field}.max_candidates", $"is {MaxCandidates}; must be from 2 to 128");
        if (Experts is < 1 or > 64)
            throw new ContractException($"{field}.experts", $"is {Experts}; must be from 1 to 64");
    }
}
