using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>mean( softplus(s/T) − σ(t/T)·s/T ): cross entropy of the teacher's probability, both softened by T.</summary>
/// <remarks>dL/ds = (σ(s/T) − σ(t/T)) / (T·N), times T² with <c>scale_by_t2</c>.</remarks>
public sealed class BinaryCrossEntropyLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequirePointwise(config, field);
        return new BinaryCrossEntropyLoss(config);
    }

    // EasyRec multiplies the mean by the vector of weights, and the sum of losses then fails on shapes.
    public override bool TakesWeights => !Config.EasyrecCompat;

    protected override Tensor Compare(LossInput input)
    {
        var (s, t) = SoftenedLogits(input);
        return Mean(functional.softplus(s).sub(t.sigmoid().mul(s)), input.Weights).mul(T2);
    }
}
