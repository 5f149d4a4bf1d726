using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>mean KL( teacher ‖ student ), both softened by T: of Bernoulli(σ(·/T)) for one logit, of softmax(·/T) for C.</summary>
/// <remarks>
/// With a = σ(t): softplus(s) − softplus(t) − a·(s − t), which needs no logarithm of a probability and is exactly 0 at s = t.
/// The gradient is that of <see cref="BinaryCrossEntropyLoss"/>.
/// </remarks>
public sealed class KlDivergenceLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequirePointwise(config, field);
        return new KlDivergenceLoss(config);
    }

    public override bool TakesVectors => true;

    // As in BinaryCrossEntropyLoss.
    public override bool TakesWeights => !Config.EasyrecCompat;

    protected override Tensor Compare(LossInput input)
    {
        var (s, t) = SoftenedLogits(input);
        var losses = s.Dimensions > 1
            ? Divergence(s, t)
            : functional.softplus(s).sub(functional.softplus(t)).sub(t.sigmoid().mul(s.sub(t)));
        return Mean(losses, input.Weights).mul(T2);
    }

    /// <summary>KL( softmax(t) ‖ softmax(s) ) of each row; [N, C] → [N].</summary>
    internal static Tensor Divergence(Tensor s, Tensor t) =>
        t.softmax(1).mul(t.log_softmax(1).sub(s.log_softmax(1))).sum(1);
}
