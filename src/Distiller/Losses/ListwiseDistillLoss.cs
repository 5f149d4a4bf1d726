using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>listwise_distill_loss</c> block.</summary>
public sealed record ListwiseDistillBlock
{
    /// <summary>Of the student's side only.</summary>
    public double Temperature { get; init; } = 1;

    public string? SessionName { get; init; }

    /// <summary>M: places from here on gain alike.</summary>
    public double LabelClipMaxValue { get; init; } = 512;

    public string? TransformFn { get; init; }

    public bool ScaleLogits { get; init; }
}

/// <summary>The student's list against the teacher's places: y ∝ log(1+M) − log(min(place, M)), place 1 the best.</summary>
public sealed class ListwiseDistillLoss(KdLossConfig config, ListwiseDistillBlock block, LossColumn session)
    : ListwiseLoss(config, session, block.Temperature)
{
    private const string BlockName = "listwise_distill_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<ListwiseDistillBlock>(BlockName, field);
        var session = RequireList(config, field, BlockName, block.SessionName, block.Temperature);
        RequirePlain(block.TransformFn, block.ScaleLogits, $"{field}.{BlockName}");
        Require(block.LabelClipMaxValue >= 1 && double.IsFinite(block.LabelClipMaxValue), $"{field}.{BlockName}.label_clip_max_value",
            block.LabelClipMaxValue, "must be 1 or more");
        RequireLogits(config, field);
        return new ListwiseDistillLoss(config, block, session);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Position;

    protected override Tensor Targets(LossInput input)
    {
        var places = input.Teacher.clamp(1, block.LabelClipMaxValue);
        var gains = input.Sessions.Pad(places.log().neg().add(Math.Log(1 + block.LabelClipMaxValue)), 0);
        return gains.div(gains.sum(1, keepdim: true));
    }
}
