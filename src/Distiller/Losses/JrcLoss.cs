using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>jrc_loss</c> block.</summary>
public sealed record JrcBlock
{
    public string? SessionName { get; init; }

    /// <summary>Weight of the calibrating cross entropy, 1 − alpha that of the ranking term.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <summary>Contrast every candidate with the whole session; false: with those of the other class, as TorchEasyRec does.</summary>
    public bool SameLabelLoss { get; init; } = true;

    public string LossWeightStrategy { get; init; } = "fixed";
}

/// <summary>Joint ranking and calibration (arXiv:2208.06164) on two logits a candidate, (negative, positive), and labels 0 or 1.</summary>
/// <remarks>
/// alpha·CE + (1−alpha)·GE. GE over one session contrasts positives by the positive logit and negatives by the negative one; mean over
/// candidates. EasyRec multiplies CE by the loss weight twice; here only with <c>easyrec_compat</c>. EasyRec's random and learned
/// weight strategies are refused.
/// </remarks>
public sealed class JrcLoss(KdLossConfig config, JrcBlock block, LossColumn session) : DistillationLoss(config)
{
    private const string BlockName = "jrc_loss";
    private const double Absent = -1e30;

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<JrcBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        RequireLogits(config, field);
        Require(block.Alpha is >= 0 and <= 1, $"{field}.{BlockName}.alpha", block.Alpha, "must be from 0 to 1");
        if (block.LossWeightStrategy != "fixed")
            throw new ContractException($"{field}.{BlockName}.loss_weight_strategy", $"'{block.LossWeightStrategy}' is not supported; fixed");
        return new JrcLoss(config, block, ListwiseLoss.RequireSession(config, $"{field}.{BlockName}", block.SessionName));
    }

    public override LossColumn? Session => session;

    public override SoftLabelKind LabelKind => SoftLabelKind.Class;

    public override bool TakesVectors => true;

    public override bool NeedsVectors => true;

    public override bool TakesWeights => false;

    protected override Tensor Compare(LossInput input)
    {
        if (input.Sessions.Count == 0)
            return input.Student.mul(0).sum();
        var y = input.Teacher;
        var ce = input.Student.log_softmax(1).gather(1, y.to_type(ScalarType.Int64).unsqueeze(1)).neg().mean();
        var positive = Ranking(input.Student.select(1, 1), y, input.Sessions);
        var negative = Ranking(input.Student.select(1, 0), 1 - y, input.Sessions);
        var ge = positive.add(negative).div(y.numel());
        return ce.mul(Config.EasyrecCompat ? block.Alpha * Weight : block.Alpha).add(ge.mul(1 - block.Alpha));
    }

    // The sum, over the members of one class (those with member = 1), of −log of the share their logit has among its contrast.
    private Tensor Ranking(Tensor logits, Tensor member, SessionIndex sessions)
    {
        var members = sessions.Pad(member, 0);
        if (block.SameLabelLoss)
            return functional.log_softmax(sessions.Pad(logits, Absent), 1).mul(members).sum().neg();
        var others = where(member.gt(0.5), full_like(logits, Absent), logits);
        var l = sessions.Pad(logits, 0);
        return l.logaddexp(sessions.Pad(others, Absent).logsumexp(1, keepdim: true)).sub(l).mul(members).sum();
    }
}
