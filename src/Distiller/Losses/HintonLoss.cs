using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary><c>hinton_loss</c> block.</summary>
public sealed record HintonBlock
{
    /// <summary>Column of hard labels: 0 or 1, or the class of a vector; null where unknown.</summary>
    public string? HardLabelName { get; init; }

    /// <summary>a: weight of the hard labels, 1 − a that of the teacher.</summary>
    public double Alpha { get; init; } = 0.5;

    /// <summary><c>kl</c> or <c>cross_entropy</c>; they differ by the teacher's entropy and have one gradient.</summary>
    public string SoftTerm { get; init; } = "kl";
}

/// <summary>a·CE(y, s) + (1−a)·T²·KL(teacher ‖ student), both softened by T (Hinton, Vinyals, Dean 2015).</summary>
/// <remarks>
/// The soft gradient of C logits is (1−a)·T·(softmax(s/T) − softmax(t/T)) / N. <c>scale_by_t2: false</c> drops T².
/// A candidate without a hard label takes part in the soft term only.
/// </remarks>
public sealed class HintonLoss(KdLossConfig config, HintonBlock block, LossColumn hardLabel) : DistillationLoss(config)
{
    private const string BlockName = "hinton_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<HintonBlock>(BlockName, field);
        RequireTemperature(config.Temperature, $"{field}.temperature");
        Require(block.Alpha is >= 0 and <= 1, $"{field}.{BlockName}.alpha", block.Alpha, "must be from 0 to 1");
        if (block.SoftTerm is not ("kl" or "cross_entropy"))
            throw new ContractException($"{field}.{BlockName}.soft_term", $"'{block.SoftTerm}' is unknown; kl or cross_entropy");
        if (string.IsNullOrEmpty(block.HardLabelName))
            throw new ContractException($"{field}.{BlockName}.hard_label_name", "is missing; name the column of hard labels, in training 'label'");
        return new HintonLoss(config with { ScaleByT2 = config.ScaleByT2 ?? true }, block, new($"{field}.{BlockName}.hard_label_name", block.HardLabelName));
    }

    public override bool TakesVectors => true;

    public override IReadOnlyList<LossColumn> Columns => [hardLabel];

    public override void RequireValues(LossInput input)
    {
        var classes = input.Student.Dimensions > 1 ? input.Student.shape[1] : 2;
        var labels = input.Columns[hardLabel.Name];
        var valid = labels.ge(0).logical_and(labels.lt(classes)).logical_and(labels.eq(labels.floor())).logical_or(labels.isnan());
        Require((bool)valid.all(), hardLabel.Field, $"'{hardLabel.Name}', with a row that is no class", $"must be a whole number from 0 to {classes - 1}, or null where unknown");
    }

    protected override Tensor Compare(LossInput input)
    {
        var (s, t) = SoftenedLogits(input);
        var vectors = s.Dimensions > 1;
        var soft = (vectors, block.SoftTerm) switch
        {
            (true, "kl") => KlDivergenceLoss.Divergence(s, t),
            (true, _) => t.softmax(1).mul(s.log_softmax(1)).sum(1).neg(),
            (false, "kl") => functional.softplus(s).sub(functional.softplus(t)).sub(t.sigmoid().mul(s.sub(t))),
            (false, _) => functional.softplus(s).sub(t.sigmoid().mul(s)),
        };
        var known = input.Columns[hardLabel.Name].isnan().logical_not().nonzero().reshape(-1);
        var y = input.Columns[hardLabel.Name].index_select(0, known);
        var x = Logits(input.Student, Config.PredIsLogits).index_select(0, known);
        var hard = vectors
            ? x.log_softmax(1).gather(1, y.to_type(ScalarType.Int64).unsqueeze(1)).squeeze(1).neg()
            : functional.softplus(x).sub(y.mul(x));
        return Mean(hard, input.Weights?.index_select(0, known)).mul(block.Alpha)
            .add(Mean(soft, input.Weights).mul((1 - block.Alpha) * T2));
    }
}
