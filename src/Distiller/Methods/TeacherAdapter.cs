using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>Corrects a teacher that is stale or biased: g(t) = t + MLP([t; x]), trained on real labels; the student imitates g(t).</summary>
/// <remarks>
/// After ExFM's student adapter (arXiv:2502.17494). Its loss BCE(y, g(t)) trains the adapter alone: x, the student's lower
/// representation, enters as a constant, and what the student imitates is a constant too. It begins as g(t) = t. Its labels are the
/// soft label <c>adapter</c>.
/// </remarks>
internal sealed class TeacherAdapter : MethodPart
{
    public const string Name = "adapter";

    private readonly Perceptron network;
    private readonly HardLabelLoss hard;
    private readonly int[] sources;
    private readonly bool readsContext;

    /// <param name="of">The teacher's label of each target.</param>
    /// <param name="readsContext">Give it the student's lower representation beside t.</param>
    public TeacherAdapter(PartContext context, IReadOnlyList<SoftLabelSource> of, IReadOnlyList<int> hidden, bool readsContext)
    {
        this.readsContext = readsContext;
        sources = [.. of.Select(s => context.Sources.ToList().IndexOf(s))];
        hard = new(context.HardLabel);
        network = Register(Name, Perceptron.Constant(of.Count + (readsContext ? context.Shape.LowerWidth : 0), hidden, of.Count, new(context.Seed(Name))));
    }

    public override void Run(LearningStep step)
    {
        var (teacher, known) = TeacherLogits.Of(step.Batch, sources);
        var corrected = teacher.add(network.forward(readsContext ? cat([teacher, step.Lower!.detach()], 1) : teacher));
        for (var t = 0; t < sources.Length; t++)
            step.Add($"{Name}_{t}", hard.Value(corrected.select(1, t), step.Batch, t, known), 1);
        step.AddSoftLabels(Name, new(corrected.detach(), known));
    }
}
