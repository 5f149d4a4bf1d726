using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>CLASSIFICATION: cross entropy of the student's logit against the column as it is, a probability; no temperature.</summary>
/// <remarks>mean( softplus(s) − y·s ); dL/ds = (σ(s) − y)/N. As EasyRec's kd has it. In training the teacher's σ(t) is the column.</remarks>
public sealed class ClassificationLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequireNoTemperature(config, field, null);
        RequireLogits(config, field);
        return new ClassificationLoss(config);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Probability;

    protected override Tensor Compare(LossInput input) =>
        Mean(functional.softplus(input.Student).sub(input.Teacher.mul(input.Student)), input.Weights);
}
