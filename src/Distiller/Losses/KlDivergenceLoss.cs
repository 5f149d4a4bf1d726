using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>mean KL( Bernoulli(σ(t/T)) ‖ Bernoulli(σ(s/T)) ): the cross entropy less the teacher's own entropy.</summary>
/// <remarks>
/// With a = σ(t): softplus(s) − softplus(t) − a·(s − t), which needs no logarithm of a probability and is exactly 0 at s = t.
/// The gradient is that of <see cref="BinaryCrossEntropyLoss"/>.
/// </remarks>
public sealed class KlDivergenceLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequireTemperature(config.Temperature, $"{field}.temperature");
        return new KlDivergenceLoss(config);
    }

    public override Tensor Value(Tensor student, Tensor teacher, SessionIndex sessions)
    {
        var (s, t) = SoftenedLogits(student, teacher);
        return functional.softplus(s).sub(functional.softplus(t)).sub(t.sigmoid().mul(s.sub(t))).mean().mul(T2);
    }
}
