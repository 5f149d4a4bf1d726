using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>listwise_rank_loss</c> block.</summary>
public sealed record ListwiseRankBlock
{
    public double Temperature { get; init; } = 1;

    public string? SessionName { get; init; }

    /// <summary>
    /// True: the target is softmax(t/T). False: t is taken as it is, not normalised, and must be a probability. EasyRec's default is
    /// false too, but there a logit column silently becomes negative "probabilities".
    /// </summary>
    public bool LabelIsLogits { get; init; }

    public string? TransformFn { get; init; }

    public bool ScaleLogits { get; init; }
}

/// <summary>ListNet: the student's list against the teacher's, −Σ y·log_softmax(s/T) with y = softmax(t/T) or y = t.</summary>
public sealed class ListwiseRankLoss(KdLossConfig config, ListwiseRankBlock block, LossColumn session)
    : ListwiseLoss(config, session, block.Temperature)
{
    private const string BlockName = "listwise_rank_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<ListwiseRankBlock>(BlockName, field);
        var session = RequireList(config, field, BlockName, block.SessionName, block.Temperature);
        RequirePlain(block.TransformFn, block.ScaleLogits, $"{field}.{BlockName}");
        RequireLogits(config, field);
        return new ListwiseRankLoss(config, block, session);
    }

    public override bool LabelIsLogits => block.LabelIsLogits;

    public override string LabelIsLogitsField => $"{BlockName}.label_is_logits";

    protected override Tensor Targets(LossInput input) => block.LabelIsLogits
        ? functional.softmax(input.Sessions.Pad(input.Teacher, Absent).div(Temperature), 1)
        : input.Sessions.Pad(input.Teacher, 0);
}
