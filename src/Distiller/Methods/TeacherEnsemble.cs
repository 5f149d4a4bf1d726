using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Methods;

/// <summary>Several teachers as one: a mixture whose weights a gate chooses for each candidate.</summary>
/// <remarks>
/// α = softmax over teachers of the gate's scores; <c>own</c>: w_i·z_i + b_i, <c>all</c>: a linear map of all teachers' logits
/// (Zhu et al. 2020, arXiv:2011.04106). <c>logits</c>: the label is Σ α_i·z_i. <c>losses</c>: the student's cross entropy is
/// Σ α_i·CE(σ(z_i/τ), s); as cross entropy is linear in its target, that is the cross entropy of Σ α_i·σ(z_i/τ), which is the label.
/// The gate learns from hard labels on what it mixes, or from the student's distillation loss; the teachers are constants. Its labels
/// are the soft label <c>ensemble</c>.
/// </remarks>
internal sealed class TeacherEnsemble : MethodPart
{
    public const string Name = "ensemble";

    private readonly EnsembleOptions options;
    private readonly HardLabelLoss hard;
    private readonly int[][] sources;
    private readonly List<EnsembleGate> gates = [];

    /// <param name="of">Teachers of each target: [T][M].</param>
    public TeacherEnsemble(PartContext context, IReadOnlyList<IReadOnlyList<SoftLabelSource>> of, EnsembleOptions options)
    {
        this.options = options;
        hard = new(context.HardLabel);
        sources = [.. of.Select(teachers => teachers.Select(s => context.Sources.ToList().IndexOf(s)).ToArray())];
        for (var t = 0; t < of.Count; t++)
            gates.Add(Register($"{Name}_{t}", new EnsembleGate(of[t].Count, options.GateInput == GateInput.All)));
    }

    public override void Run(LearningStep step)
    {
        var labels = new List<Tensor>();
        var everyone = new bool[step.Batch.Candidates];
        Array.Fill(everyone, true);
        for (var t = 0; t < sources.Length; t++)
        {
            var (teachers, known) = TeacherLogits.Of(step.Batch, sources[t]);
            var mixed = Mix(teachers, gates[t].forward(teachers), options.Fuse, options.Temperature);
            if (options.GateLearnsFrom == GateTeacher.Labels)
                step.Add($"{Name}_gate_{t}", hard.Value(mixed, step.Batch, t, known), 1);
            else if (known.Contains(true))
                step.Add($"{Name}_gate_{t}", Imitation(step.Logits.select(1, t).detach(), mixed, options.Temperature, tensor(known)), options.LossWeight);
            labels.Add(mixed.detach());
            for (var i = 0; i < known.Length; i++)
                everyone[i] &= known[i];
        }
        step.AddSoftLabels(Name, new(stack(labels, 1), everyone));
    }

    /// <param name="teachers">[N, M].</param>
    /// <param name="alpha">[N, M], rows sum to 1.</param>
    /// <returns>The label as a logit, [N].</returns>
    internal static Tensor Mix(Tensor teachers, Tensor alpha, FusedBy fuse, double temperature)
    {
        if (fuse == FusedBy.Logits)
            return alpha.mul(teachers).sum(1);
        var softened = teachers.div(temperature);
        // log Σ α·σ(z) − log Σ α·σ(−z): no logarithm of a rounded 0.
        var positive = alpha.log().add(functional.logsigmoid(softened)).logsumexp(1);
        var negative = alpha.log().add(functional.logsigmoid(softened.neg())).logsumexp(1);
        return positive.sub(negative).mul(temperature);
    }

    // The student's cross entropy, here as a loss of the gate alone.
    private static Tensor Imitation(Tensor student, Tensor label, double temperature, Tensor known)
    {
        var s = student.div(temperature);
        var losses = functional.softplus(s).sub(label.div(temperature).sigmoid().mul(s));
        return losses.masked_select(known).mean();
    }
}

/// <summary>[N, M] logits of teachers → their weights; begins as the plain average.</summary>
internal sealed class EnsembleGate : Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;
    private readonly bool readsAll;

    public EnsembleGate(int teachers, bool readsAll) : base("gate")
    {
        this.readsAll = readsAll;
        weight = new(readsAll ? zeros([teachers, teachers]) : zeros([teachers]));
        bias = new(zeros([teachers]));
        register_parameter("weight", weight);
        register_parameter("bias", bias);
    }

    public override Tensor forward(Tensor teachers) =>
        functional.softmax((readsAll ? teachers.matmul(weight.t()) : teachers.mul(weight)).add(bias), 1);
}
