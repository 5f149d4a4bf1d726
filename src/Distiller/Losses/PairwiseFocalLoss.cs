using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>pairwise_focal_loss</c> block.</summary>
public sealed record PairwiseFocalBlock
{
    public double Gamma { get; init; } = 2;

    /// <summary>A factor, since every pair has the label 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>Pairs at least so far apart are left out; null: none, which is EasyRec's effective default.</summary>
    public double? HingeMargin { get; init; }

    public string? SessionName { get; init; }

    public double OhemRatio { get; init; } = 1;

    public double Temperature { get; init; } = 1;
}

/// <summary><see cref="BinaryFocalLoss"/> on (s_winner − s_loser)/T with the label 1.</summary>
public sealed class PairwiseFocalLoss(KdLossConfig config, PairwiseFocalBlock block, LossColumn? session)
    : PairwiseLoss(config, session, block.Temperature, block.OhemRatio)
{
    private const string BlockName = "pairwise_focal_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<PairwiseFocalBlock>(BlockName, field);
        var session = RequirePairs(config, field, BlockName, block.SessionName, block.Temperature);
        RequireRatio(block.OhemRatio, $"{field}.{BlockName}.ohem_ratio");
        RequireNotNegative(block.Gamma, $"{field}.{BlockName}.gamma");
        Require(block.Alpha is null or (>= 0 and <= 1), $"{field}.{BlockName}.alpha", block.Alpha ?? 0, "must be from 0 to 1");
        RequireFinite(block.HingeMargin, $"{field}.{BlockName}.hinge_margin");
        RequireLogits(config, field);
        return new PairwiseFocalLoss(config, block, session);
    }

    protected override Tensor Value(Tensor student, Tensor teacher, Tensor? weights)
    {
        if (block.HingeMargin is { } margin)
        {
            var close = student.detach().lt(margin).nonzero().reshape(-1);
            student = student.index_select(0, close);
            weights = weights?.index_select(0, close);
        }
        var focal = new BinaryFocalBlock { Gamma = block.Gamma, Alpha = block.Alpha, OhemRatio = block.OhemRatio };
        return BinaryFocalLoss.Focal(student, ones_like(student), focal, weights);
    }

    protected override double Mean(in LossSpans input, Span<float> student, Span<float> slopes) => PairSlopes.Mean(
        new FocalPair((float)block.Gamma, (float)(block.Alpha ?? 1), (float)(block.HingeMargin ?? double.PositiveInfinity)), input.Sessions, student,
        input.Teacher, input.Teacher, input.Weights, slopes);
}
