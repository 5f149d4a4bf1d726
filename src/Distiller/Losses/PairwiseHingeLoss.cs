using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>pairwise_hinge_loss</c> block.</summary>
public sealed record PairwiseHingeBlock
{
    public double Temperature { get; init; } = 1;

    public string? SessionName { get; init; }

    /// <summary>How far apart a pair must be; not read with <see cref="UseLabelMargin"/>.</summary>
    public double Margin { get; init; } = 1;

    public double OhemRatio { get; init; } = 1;

    /// <summary>The temperature divides the soft labels too.</summary>
    public bool LabelIsLogits { get; init; } = true;

    /// <summary>A pair must be as far apart as the teacher has it.</summary>
    public bool UseLabelMargin { get; init; } = true;

    /// <summary>Compare σ of both sides, and take exp(difference) − 1.</summary>
    public bool UseExponent { get; init; }
}

/// <summary>max(0, margin − (s_winner − s_loser)), the margin the teacher's own or fixed.</summary>
/// <remarks>
/// After Pairwise Ranking Distillation (CEUR-WS Vol-2744 paper 30). With <c>use_exponent</c> EasyRec overwrites the student by the
/// labels, so that no gradient reaches it; here that happens only with <c>easyrec_compat</c>.
/// </remarks>
public sealed class PairwiseHingeLoss(KdLossConfig config, PairwiseHingeBlock block, LossColumn? session)
    : PairwiseLoss(config, session, block.Temperature, block.OhemRatio)
{
    private const string BlockName = "pairwise_hinge_loss";

    // As in EasyRec: what float32 can hold of exp.
    private const double LargestExponent = 88;

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<PairwiseHingeBlock>(BlockName, field);
        var session = RequirePairs(config, field, BlockName, block.SessionName, block.Temperature);
        RequireRatio(block.OhemRatio, $"{field}.{BlockName}.ohem_ratio");
        RequireFinite(block.Margin, $"{field}.{BlockName}.margin");
        RequireLogits(config, field);
        return new PairwiseHingeLoss(config, block, session);
    }

    protected override (Tensor Student, Tensor Teacher) Scores(LossInput input)
    {
        var s = input.Student.div(Temperature);
        var t = block.LabelIsLogits ? input.Teacher.div(Temperature) : input.Teacher;
        if (!block.UseExponent)
            return (s, t);
        t = t.sigmoid();
        return (Config.EasyrecCompat ? t.sigmoid().add(s.mul(0)) : s.sigmoid(), t);
    }

    protected override Tensor Value(Tensor student, Tensor teacher, Tensor? weights)
    {
        var lag = block.UseLabelMargin ? teacher.sub(student) : student.neg().add(block.Margin);
        return Reduce((block.UseExponent ? lag.clamp(-LargestExponent, LargestExponent).expm1() : lag).relu(), weights);
    }

    protected override double Mean(in LossSpans input, Span<float> student, Span<float> slopes)
    {
        var teacher = input.Teacher.ToArray();
        if (block.LabelIsLogits)
            TensorPrimitives.Multiply(teacher, (float)(1 / Temperature), teacher);
        if (block.UseExponent)
        {
            TensorPrimitives.Sigmoid(teacher, teacher);
            TensorPrimitives.Sigmoid(student, student);
        }
        var value = PairSlopes.Mean(new HingePair((float)block.Margin, block.UseLabelMargin, block.UseExponent), input.Sessions, student, teacher, teacher,
            input.Weights, slopes);
        for (var i = 0; i < slopes.Length && block.UseExponent; i++)
            slopes[i] *= student[i] * (1 - student[i]);
        return value;
    }
}
