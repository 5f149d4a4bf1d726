using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>mean max(0, p_s − p_t): what comes later in a funnel is not more probable than what it needs (AITM, KDD 2021).</summary>
/// <remarks>
/// For a student's <c>probs_buy</c> against the soft label <c>TEACHER/click</c>. EasyRec has it between the towers of a multi-task model,
/// and refuses it in <c>kd</c>; so does <c>easyrec_compat</c>. dL/dp_s = 1/N where p_s is above.
/// </remarks>
public sealed class OrderCalibrateLoss(KdLossConfig config) : DistillationLoss(config)
{
    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        config.Block<NoBlock>(null, field);
        RequireNoTemperature(config, field, null);
        Require(!config.EasyrecCompat, $"{field}.easyrec_compat", "true", "EasyRec's kd has no ORDER_CALIBRATE_LOSS; leave it out");
        return new OrderCalibrateLoss(config);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Probability;

    protected override Tensor Compare(LossInput input) =>
        Mean((Config.PredIsLogits ? input.Student.sigmoid() : input.Student).sub(input.Teacher).relu(), input.Weights);
}
