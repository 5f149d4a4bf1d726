using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

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

    /// <summary>
    /// Only the teacher's first so many of a session are targets, renormalised; the student's softmax stays over all. For teachers that
    /// store their highest logits only (arXiv:1904.01624). Null: all. Needs <see cref="LabelIsLogits"/>. Ours.
    /// </summary>
    public int? LabelTopK { get; init; }

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
        Require(block.LabelTopK is null or >= 1, $"{field}.{BlockName}.label_top_k", block.LabelTopK ?? 0, "must be 1 or more");
        Require(block.LabelTopK is null || block.LabelIsLogits, $"{field}.{BlockName}.label_top_k", block.LabelTopK ?? 0, "needs label_is_logits true: only a softmax can be renormalised");
        RequireLogits(config, field);
        return new ListwiseRankLoss(config, block, session);
    }

    public override bool LabelIsLogits => block.LabelIsLogits;

    public override string LabelIsLogitsField => $"{BlockName}.label_is_logits";

    public override bool KnowsSlope => true;

    protected override void Targets(Span<float> teacher)
    {
        if (!block.LabelIsLogits)
            return;
        if (block.LabelTopK is { } k && k < teacher.Length)
        {
            var sorted = teacher.ToArray();
            Array.Sort(sorted);
            foreach (ref var label in teacher)
                label = label < sorted[^k] ? float.NegativeInfinity : label;
        }
        TensorPrimitives.Divide(teacher, (float)Temperature, teacher);
        // TensorPrimitives.SoftMax takes e^t as it is, which overflows from t = 89 on.
        TensorPrimitives.Subtract(teacher, TensorPrimitives.Max<float>(teacher), teacher);
        TensorPrimitives.Exp(teacher, teacher);
        TensorPrimitives.Divide(teacher, TensorPrimitives.Sum<float>(teacher), teacher);
    }

    protected override Tensor Targets(LossInput input) => block.LabelIsLogits
        ? functional.softmax(Kept(input).div(Temperature), 1)
        : input.Sessions.Pad(input.Teacher, 0);

    private Tensor Kept(LossInput input)
    {
        var padded = input.Sessions.Pad(input.Teacher, Absent);
        if (block.LabelTopK is not { } k || k >= input.Sessions.Longest)
            return padded;
        var last = padded.topk(k, 1).values.narrow(1, k - 1, 1);
        return padded.masked_fill(padded.lt(last), Absent);
    }
}
