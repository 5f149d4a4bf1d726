using KdServing.Contracts;

namespace KdServing.Distiller.Methods;

/// <summary>Parameters of presets that imitate a streamed teacher by one loss.</summary>
public record ResponseOptions
{
    public double LossWeight { get; init; } = 1;

    public double Temperature { get; init; } = 1;

    /// <summary>The teacher; null: the record's first.</summary>
    public string? Teacher { get; init; }

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public virtual void Require(string field)
    {
        Checks.NotNegative(LossWeight, $"{field}.loss_weight");
        Checks.Positive(Temperature, $"{field}.temperature");
    }
}

/// <summary><c>hinton</c> block.</summary>
public sealed record HintonOptions : ResponseOptions
{
    public HintonOptions() => Temperature = 2;

    /// <summary>Weight of the hard labels, 1 − alpha that of the teacher.</summary>
    public double Alpha { get; init; } = 0.5;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.Fraction(Alpha, $"{field}.alpha");
    }
}

/// <summary><c>point_and_list</c> block.</summary>
public sealed record PointAndListOptions : ResponseOptions
{
    /// <summary>Weight of the list loss beside the pointwise one's <c>loss_weight</c>.</summary>
    public double ListWeight { get; init; } = 1;

    public double ListTemperature { get; init; } = 1;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.NotNegative(ListWeight, $"{field}.list_weight");
        Checks.Positive(ListTemperature, $"{field}.list_temperature");
    }
}

/// <summary><c>auxiliary_head</c> block.</summary>
public record AuxiliaryOptions : ResponseOptions
{
    /// <summary>Widths of the head's own layers; may be empty.</summary>
    public IReadOnlyList<int> Hidden { get; init; } = [];

    public GuidedLayer From { get; init; } = GuidedLayer.Hidden;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.Widths(Hidden, $"{field}.hidden");
    }
}

/// <summary><c>adapter</c> block.</summary>
public record AdapterOptions : ResponseOptions
{
    /// <summary>Widths of the adapter's layers.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [16];

    /// <summary>Show the adapter the student's lower representation beside the teacher's logit.</summary>
    public bool Context { get; init; } = true;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.Widths(Layers, $"{field}.layers");
    }
}

/// <summary><c>teacher_age</c> block.</summary>
public sealed record AgeOptions : ResponseOptions
{
    /// <summary>Versions behind the newest at which a label weighs half; null: versions do not count.</summary>
    public double? HalfLifeVersions { get; init; } = 10;

    /// <summary>Seconds of event time behind the newest record at which a label weighs half; null: time does not count.</summary>
    public double? HalfLifeSeconds { get; init; }

    /// <summary>Labels further behind are refused.</summary>
    public double MaxVersions { get; init; } = double.PositiveInfinity;

    /// <summary>Labels of older records are refused.</summary>
    public double MaxSeconds { get; init; } = double.PositiveInfinity;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.Positive(HalfLifeVersions ?? 1, $"{field}.half_life_versions");
        Checks.Positive(HalfLifeSeconds ?? 1, $"{field}.half_life_seconds");
        if (!(MaxVersions >= 0))
            throw new ContractException($"{field}.max_versions", "must be 0 or more");
        if (!(MaxSeconds >= 0))
            throw new ContractException($"{field}.max_seconds", "must be 0 or more");
    }
}

/// <summary>What a gate reads to weigh a teacher.</summary>
public enum GateInput
{
    /// <summary>That teacher's logit.</summary>
    Own,

    /// <summary>All teachers' logits.</summary>
    All,
}

/// <summary>Where teachers are mixed.</summary>
public enum FusedBy
{
    /// <summary>Their logits.</summary>
    Logits,

    /// <summary>The student's losses against each.</summary>
    Losses,
}

/// <summary>What a gate learns from.</summary>
public enum GateTeacher
{
    /// <summary>Hard labels: how good each teacher is.</summary>
    Labels,

    /// <summary>The student's distillation loss: how near each teacher is.</summary>
    Distillation,
}

/// <summary><c>ensemble</c> block.</summary>
public sealed record EnsembleOptions : ResponseOptions
{
    /// <summary>Names of the teachers, as the stream has them; at least two.</summary>
    public IReadOnlyList<string> Teachers { get; init; } = [];

    public GateInput GateInput { get; init; } = GateInput.All;

    public FusedBy Fuse { get; init; } = FusedBy.Logits;

    public GateTeacher GateLearnsFrom { get; init; } = GateTeacher.Labels;

    public override void Require(string field)
    {
        base.Require(field);
        if (Teacher is not null)
            throw new ContractException($"{field}.teacher", "has no meaning for an ensemble; list teachers");
        if (Teachers.Count < 2 || Teachers.Distinct().Count() != Teachers.Count)
            throw new ContractException($"{field}.teachers", "must list at least two different teachers by the names they stream under");
    }
}

/// <summary><c>self_distillation</c> block.</summary>
public sealed record SelfOptions
{
    /// <summary>Widths of the layers that the deep exit has beyond the student.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [64, 64];

    /// <summary>Weight of the student's imitation of the deep exit.</summary>
    public double LossWeight { get; init; } = 1;

    public double Temperature { get; init; } = 1;

    /// <summary>Weight of the deep exit's loss on hard labels.</summary>
    public double DeepWeight { get; init; } = 1;

    /// <summary>Weight of the deep exit's imitation of a streamed teacher; 0: it learns from labels alone.</summary>
    public double TeacherWeight { get; init; }

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public void Require(string field)
    {
        Checks.Widths(Layers, $"{field}.layers");
        Checks.NotNegative(LossWeight, $"{field}.loss_weight");
        Checks.Positive(Temperature, $"{field}.temperature");
        Checks.NotNegative(DeepWeight, $"{field}.deep_weight");
        Checks.NotNegative(TeacherWeight, $"{field}.teacher_weight");
    }
}

/// <summary><c>jrc</c> block.</summary>
public sealed record JrcOptions : ResponseOptions
{
    /// <summary>Weight of the joint ranking and calibration loss, which takes the place of the hard-label loss.</summary>
    public double Weight { get; init; } = 1;

    /// <summary>Weight of the calibrating cross entropy in it, 1 − alpha that of the ranking term.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <summary>Contrast every candidate with its whole session; false: with those of the other class.</summary>
    public bool SameLabelLoss { get; init; } = true;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.Positive(Weight, $"{field}.weight");
        Checks.Fraction(Alpha, $"{field}.alpha");
    }
}

/// <summary><c>ranking_distillation</c> block.</summary>
public sealed record RankingDistillationOptions : ResponseOptions
{
    public RankingDistillationOptions() => LossWeight = 0.1;

    public int K { get; init; } = 10;

    public double Lambda { get; init; } = 10;

    public double Mu { get; init; } = 0.1;

    public Losses.RankWeighting Weighting { get; init; } = Losses.RankWeighting.Hybrid;

    /// <summary>Steps in which places alone weigh, before the discrepancy counts too.</summary>
    public long HybridAfterSteps { get; init; } = 500;

    /// <summary>Weight of the imitation of the teacher's probabilities, beside.</summary>
    public double LogitWeight { get; init; } = 1;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.NotNegative(LogitWeight, $"{field}.logit_weight");
        Checks.Steps(HybridAfterSteps, $"{field}.hybrid_after_steps");
    }
}

/// <summary><c>rrd</c> block.</summary>
public sealed record RrdOptions : ResponseOptions
{
    public RrdOptions() => LossWeight = 0.01;

    public int Interesting { get; init; } = 20;

    public int Uninteresting { get; init; } = 20;

    public double RankTemperature { get; init; } = 10;

    public bool Sample { get; init; } = true;

    /// <summary>Weight of the imitation of the teacher's probabilities, beside.</summary>
    public double LogitWeight { get; init; } = 1;

    public override void Require(string field)
    {
        base.Require(field);
        Checks.NotNegative(LogitWeight, $"{field}.logit_weight");
    }
}
