using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>
/// Cross entropy of the teacher's probabilities. One logit: mean( softplus(s/T) − σ(t/T)·s/T ). C logits: the same on each of the C
/// probabilities of softmax(s/T) and softmax(t/T), mean over N·C, as EasyRec has it; categorical cross entropy is <see cref="HintonLoss"/>'s.
/// </summary>
/// <remarks>dL/ds = (σ(s/T) − σ(t/T)) / (T·N) for one logit, times T² with <c>scale_by_t2</c>.</remarks>
public sealed class CrossEntropyLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequirePointwise(config, field);
        return new CrossEntropyLoss(config);
    }

    public override bool TakesVectors => true;

    protected override Tensor Compare(LossInput input)
    {
        var vectors = input.Student.Dimensions > 1;
        var (s, t) = Config.EasyrecCompat ? UpstreamLogits(input) : SoftenedLogits(input);
        if (!vectors && !Config.EasyrecCompat)
            return Mean(functional.softplus(s).sub(t.sigmoid().mul(s)), input.Weights).mul(T2);
        var (p, q) = vectors ? (s.softmax(1), t.softmax(1)) : (s.sigmoid(), t.sigmoid());
        var losses = q.mul(p.add(Epsilon).log()).add((1 - q).mul((1 - p).add(Epsilon).log())).neg();
        return Mean(vectors ? losses.mean([1]) : losses, input.Weights).mul(T2);
    }

    // log(p) where the logit is log(p / (1−p)): no target above 0.5.
    private (Tensor Student, Tensor Teacher) UpstreamLogits(LossInput input)
    {
        var s = Config.PredIsLogits ? input.Student : input.Student.add(Epsilon).log();
        var t = Config.LabelIsLogits ? input.Teacher : input.Teacher.add(Epsilon).log();
        return Config.Temperature > 0 ? (s.div(Config.Temperature), t.div(Config.Temperature)) : (s, t);
    }
}
