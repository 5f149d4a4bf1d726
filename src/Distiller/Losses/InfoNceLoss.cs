using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Losses;

/// <summary><c>info_nce_loss</c> block.</summary>
public sealed record InfoNceBlock
{
    public double Temperature { get; init; } = 0.1;
}

/// <summary>
/// Each student vector must be nearer to its own teacher vector than to the others': mean softmax cross entropy of Q·Kᵀ/T with the
/// diagonal as target (EasyRec's auxiliary info_nce, Q the student, K the teacher). Vectors are taken as they are, not normalised.
/// </summary>
/// <remarks>Every row of the batch is every other's negative: memory is the square of the batch by definition.</remarks>
public sealed class InfoNceLoss(KdLossConfig config, InfoNceBlock block) : DistillationLoss(config)
{
    private const string BlockName = "info_nce_loss";

    public static DistillationLoss Create(KdLossConfig config, string field)
    {
        var block = config.Block<InfoNceBlock>(BlockName, field);
        RequireTemperature(block.Temperature, $"{field}.{BlockName}.temperature");
        RequireNoTemperature(config, field, $"{BlockName}.temperature");
        return new InfoNceLoss(config, block);
    }

    public override SoftLabelKind LabelKind => SoftLabelKind.Embedding;

    public override bool TakesVectors => true;

    public override bool NeedsVectors => true;

    protected override Tensor Compare(LossInput input)
    {
        var logits = input.Student.matmul(input.Teacher.t()).div(block.Temperature);
        return Mean(functional.log_softmax(logits, 1).diagonal().neg(), input.Weights);
    }
}
