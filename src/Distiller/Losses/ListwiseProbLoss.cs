using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary><c>listwise_prob_loss</c> block.</summary>
public sealed record ListwiseProbBlock
{
    public string? SessionName { get; init; }

    /// <summary>Divides both logits before the sigmoid.</summary>
    public double Temperature { get; init; } = 1;
}

/// <summary>
/// The list loss that leaves calibration alone: −Σ (p_t / Σ p_t) · log(p_s / Σ p_s) with p = σ(logit). Its optimum contains s = t,
/// where ListNet on probabilities ends at s = log p + const. After CLID (arXiv:2312.08727), whose exact formula is unverified.
/// </summary>
/// <remarks>log(p / Σ p) is the log_softmax of log σ(logit), so the list machinery of <see cref="ListwiseLoss"/> serves.</remarks>
public sealed class ListwiseProbLoss(KdLossConfig config, ListwiseProbBlock block, LossColumn session) : ListwiseLoss(config, session, 1)
{
    private const string BlockName = "listwise_prob_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<ListwiseProbBlock>(BlockName, field);
        return new ListwiseProbLoss(config, block, RequireList(config, field, BlockName, block.SessionName, block.Temperature));
    }

    protected override Tensor Scores(Tensor student) => LogProbability(student, Config.PredIsLogits);

    protected override Tensor Targets(LossInput input) =>
        functional.softmax(input.Sessions.Pad(LogProbability(input.Teacher, Config.LabelIsLogits), Absent), 1);

    private Tensor LogProbability(Tensor values, bool isLogits) => functional.softplus(Logits(values, isLogits).div(block.Temperature).neg()).neg();
}
