using KdServing.Distiller.Students;

namespace KdServing.Distiller.Methods;

/// <summary>A second head on the student's trunk, which learns from the teacher while the served head learns from labels; dropped at export.</summary>
/// <remarks>
/// L = BCE(y, main) + w·BCE(σ(t), aux): the teacher shapes what both heads read, but its bias can not enter the served head, since no
/// gradient of its term reaches that head's own weights (Khani et al. 2024, arXiv:2408.14678; ExFM, arXiv:2502.17494).
/// Its logits are <c>aux_logits</c>.
/// </remarks>
internal sealed class AuxiliaryHead : MethodPart
{
    public const string Head = "aux";

    private readonly Perceptron network;
    private readonly bool readsLower;

    /// <param name="hidden">Widths of its own layers.</param>
    /// <param name="readsLower">Branch off after <see cref="Student.Lower"/> instead of before the last layer.</param>
    public AuxiliaryHead(PartContext context, IReadOnlyList<int> hidden, bool readsLower)
    {
        this.readsLower = readsLower;
        network = Register(Head, new Perceptron(readsLower ? context.Shape.LowerWidth : context.Shape.HiddenWidth, hidden,
            context.Schema.Targets.Count, new(context.Seed(Head)), context.Shape.InitialLogit));
    }

    public override void Run(LearningStep step) => step.AddPrediction(Head, network.forward(readsLower ? step.Lower! : step.Hidden!));
}
