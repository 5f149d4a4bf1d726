using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>pairwise_loss</c> block.</summary>
public sealed record MarginPairBlock
{
    public double Margin { get; init; }

    public string? SessionName { get; init; }

    public double Temperature { get; init; } = 1;
}

/// <summary>PAIR_WISE_LOSS, which EasyRec deprecates for <see cref="PairwiseLogisticLoss"/>: softplus(margin − (s_winner − s_loser)/T).</summary>
public sealed class MarginPairLoss(KdLossConfig config, MarginPairBlock block, LossColumn? session)
    : PairwiseLoss(config, session, block.Temperature, 1)
{
    private const string BlockName = "pairwise_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<MarginPairBlock>(BlockName, field);
        var session = RequirePairs(config, field, BlockName, block.SessionName, block.Temperature);
        RequireFinite(block.Margin, $"{field}.{BlockName}.margin");
        RequireLogits(config, field);
        return new MarginPairLoss(config, block, session);
    }

    protected override Tensor Value(Tensor student, Tensor teacher, Tensor? weights) =>
        Reduce(functional.softplus(student.neg().add(block.Margin)), weights);

    protected override double Mean(in LossSpans input, Span<float> student, Span<float> slopes) => PairSlopes.Mean(
        new LogisticPair((float)block.Margin, useLabelMargin: false), input.Sessions, student, input.Teacher, input.Teacher, input.Weights, slopes);
}
