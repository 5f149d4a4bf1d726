using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Methods;

/// <summary>Self-distillation: further layers on the student's last representation learn the labels too and teach the student; dropped at export.</summary>
/// <remarks>
/// The student that is served is the shallow exit. The trunk learns from both exits; the deep exit receives no gradient from the
/// student's imitation (seed document on training regimes; Zhang et al. 2019, arXiv:1905.08094). Its logits are the soft label
/// <c>deep</c> and the prediction <c>deep_logits</c>.
/// </remarks>
internal sealed class DeepExit : MethodPart
{
    public const string Name = "deep";

    private readonly Perceptron network;
    private readonly HardLabelLoss hard;
    private readonly double weight;

    public DeepExit(PartContext context, IReadOnlyList<int> layers, double weight)
    {
        this.weight = weight;
        hard = new(context.HardLabel);
        network = Register(Name, new Perceptron(context.Shape.HiddenWidth, layers, context.Schema.Targets.Count,
            new(context.Seed(Name)), context.Shape.InitialLogit));
    }

    public override void Run(LearningStep step)
    {
        var logits = network.forward(step.Hidden!);
        for (var t = 0; t < logits.shape[1]; t++)
            step.Add($"deep_{t}", hard.Value(logits.select(1, t), step.Batch, t), weight);
        step.AddPrediction(Name, logits);
        step.AddSoftLabels(Name, new(logits.detach()));
    }
}
