using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>pairwise_logistic_loss</c> block.</summary>
public sealed record PairwiseLogisticBlock
{
    public double Temperature { get; init; } = 1;

    public string? SessionName { get; init; }

    /// <summary>Shifts the difference; it switches no pair off, whatever EasyRec's documentation says. Null: 0.</summary>
    public double? HingeMargin { get; init; }

    public double OhemRatio { get; init; } = 1;

    /// <summary>The teacher's difference over T is the margin, in place of <see cref="HingeMargin"/>.</summary>
    public bool UseLabelMargin { get; init; }
}

/// <summary>softplus(−m) with m = (s_winner − s_loser)/T less the margin: RankNet.</summary>
public sealed class PairwiseLogisticLoss(KdLossConfig config, PairwiseLogisticBlock block, LossColumn? session)
    : PairwiseLoss(config, session, block.Temperature, block.OhemRatio)
{
    private const string BlockName = "pairwise_logistic_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<PairwiseLogisticBlock>(BlockName, field);
        var session = RequirePairs(config, field, BlockName, block.SessionName, block.Temperature);
        RequireRatio(block.OhemRatio, $"{field}.{BlockName}.ohem_ratio");
        RequireFinite(block.HingeMargin, $"{field}.{BlockName}.hinge_margin");
        RequireLogits(config, field);
        return new PairwiseLogisticLoss(config, block, session);
    }

    protected override Tensor Value(Tensor student, Tensor teacher, Tensor? weights) => Reduce(functional.softplus(block.UseLabelMargin
        ? teacher.div(Temperature).sub(student)
        : student.neg().add(block.HingeMargin ?? 0)), weights);

    protected override double Mean(in LossSpans input, Span<float> student, Span<float> slopes)
    {
        var teacher = input.Teacher.ToArray();
        TensorPrimitives.Multiply(teacher, (float)(1 / Temperature), teacher);
        return PairSlopes.Mean(new LogisticPair((float)(block.HingeMargin ?? 0), block.UseLabelMargin), input.Sessions, student, teacher, teacher, input.Weights, slopes);
    }
}
