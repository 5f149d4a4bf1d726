using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary>EasyRec's <c>binary_focal_loss</c> block.</summary>
public sealed record BinaryFocalBlock
{
    public double Gamma { get; init; } = 2;

    /// <summary>Weight of the positives, 1 − alpha that of the negatives; null: no such weights.</summary>
    public double? Alpha { get; init; }

    public double OhemRatio { get; init; } = 1;

    public double LabelSmoothing { get; init; }
}

/// <summary>Σ m·CE / #(m ≠ 0) with m = (1 − p_y)^γ: what the student already gets right counts less.</summary>
/// <remarks>p_y is the student's probability of the label. The gradient flows through m too.</remarks>
public sealed class BinaryFocalLoss(KdLossConfig config, BinaryFocalBlock block) : DistillationLoss(config)
{
    private const string BlockName = "binary_focal_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<BinaryFocalBlock>(BlockName, field);
        RequireNoTemperature(config, field, null);
        RequireNotNegative(block.Gamma, $"{field}.{BlockName}.gamma");
        RequireFraction(block.Alpha ?? 1, $"{field}.{BlockName}.alpha");
        RequireFraction(block.LabelSmoothing, $"{field}.{BlockName}.label_smoothing");
        RequireRatio(block.OhemRatio, $"{field}.{BlockName}.ohem_ratio");
        return new BinaryFocalLoss(config, block);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Probability;

    protected override Tensor Compare(LossInput input) =>
        Focal(Logits(input.Student, Config.PredIsLogits), input.Teacher, block, input.Weights);

    /// <param name="x">Logits [N].</param>
    /// <param name="y">Probabilities that the label is 1 [N].</param>
    internal static Tensor Focal(Tensor x, Tensor y, BinaryFocalBlock block, Tensor? weights)
    {
        var p = x.sigmoid().clamp(Epsilon, 1 - Epsilon);
        var wrong = y.mul(1 - p).add((1 - y).mul(p));
        var m = wrong.pow(block.Gamma);
        if (block.Alpha is { } alpha)
            m = m.mul(y.mul(alpha).add((1 - y).mul(1 - alpha)));
        if (weights is not null)
            m = m.mul(weights);
        var smooth = y.mul(1 - block.LabelSmoothing).add(block.LabelSmoothing / 2);
        var losses = m.mul(functional.softplus(x).sub(smooth.mul(x)));
        return block.OhemRatio < 1
            ? HardestMean(losses, block.OhemRatio)
            : losses.sum().div(m.detach().ne(0).sum().clamp_min(1));
    }

    private static void RequireFraction(double value, string field)
    {
        if (!(value is >= 0 and <= 1))
            throw new ContractException(field, FormattableString.Invariant($"is {value}; must be from 0 to 1"));
    }
}
