using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>f1_reweighted_loss</c> block.</summary>
public sealed record F1ReweightedBlock
{
    /// <summary>β² of the F measure: above 1 favours recall, below 1 precision.</summary>
    public double F1BetaSquare { get; init; } = 1;

    public double LabelSmoothing { get; init; }
}

/// <summary>Cross entropy whose negatives weigh TP / (β²·P + N⁻ − TN): a step on it is a step on the F measure.</summary>
/// <remarks>
/// TP is the sum of predicted probabilities as EasyRec takes it, TN = N − TP; the gradient flows through the weight. A soft label y is
/// y positives and 1 − y negatives, which for 0 and 1 is EasyRec's rule; EasyRec counts a positive only where y is exactly 1.
/// </remarks>
public sealed class F1ReweightedLoss(KdLossConfig config, F1ReweightedBlock block) : DistillationLoss(config)
{
    private const string BlockName = "f1_reweighted_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<F1ReweightedBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        RequireTemperature(block.F1BetaSquare, $"{field}.{BlockName}.f1_beta_square");
        Require(block.LabelSmoothing is >= 0 and <= 1, $"{field}.{BlockName}.label_smoothing", block.LabelSmoothing, "must be from 0 to 1");
        return new F1ReweightedLoss(config, block);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Probability;

    protected override Tensor Compare(LossInput input)
    {
        var x = Logits(input.Student, Config.PredIsLogits);
        var y = Config.EasyrecCompat ? input.Teacher.eq(1).to_type(x.dtype) : input.Teacher;
        double count = x.numel();
        var positives = y.sum();
        var tp = x.sigmoid().sum();
        var negative = tp.div(positives.mul(block.F1BetaSquare).add(count).sub(positives).sub(count).add(tp).add(1e-8));
        var weights = y.add((1 - y).mul(negative));
        if (input.Weights is not null)
            weights = weights.mul(input.Weights);
        var smooth = input.Teacher.mul(1 - block.LabelSmoothing).add(block.LabelSmoothing / 2);
        return functional.softplus(x).sub(smooth.mul(x)).mul(weights).sum().div(weights.detach().ne(0).sum().clamp_min(1));
    }
}
