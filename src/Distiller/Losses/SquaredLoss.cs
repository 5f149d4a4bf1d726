using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>mean (s − t)², on the scale that <c>pred_is_logits</c> names: a soft label on the other scale is converted.</summary>
/// <remarks>
/// dL/ds = 2(s − t)/N. L2_LOSS and SIGMOID_L2_LOSS are one: EasyRec takes no sigmoid in <c>kd</c> either; probabilities are compared
/// by naming <c>probs</c>. EasyRec compares a logit with a probability where the scales differ. A temperature would only be a weight
/// of 1/T², so it has no effect, as in EasyRec.
/// </remarks>
public sealed class SquaredLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequireNoTemperature(config with { Temperature = 1 }, field, null);
        return new SquaredLoss(config);
    }

    protected override Tensor Compare(LossInput input)
    {
        var teacher = Config.EasyrecCompat || Config.LabelIsLogits == Config.PredIsLogits ? input.Teacher
            : Config.LabelIsLogits ? input.Teacher.sigmoid()
            : Logits(input.Teacher, false);
        return Mean(input.Student.sub(teacher).square(), input.Weights);
    }
}
