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
        RequireTemperature(config.Temperature, $"{field}.temperature");
        return new BinaryCrossEntropyLoss(config);
    }

    public override Tensor Value(Tensor student, Tensor teacher, SessionIndex sessions)
    {
        var (s, t) = SoftenedLogits(student, teacher);
        return functional.softplus(s).sub(t.sigmoid().mul(s)).mean().mul(T2);
    }
}
