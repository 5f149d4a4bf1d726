using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>The student's representation, through a regressor, imitates the teacher's: ½·‖v_T − (W·v_S + b)‖², mean over candidates.</summary>
/// <remarks>
/// FitNets (arXiv:1412.6550); with a weight for each dimension the sum is Σ_d w_d·(v_T,d − r_d)², as when a network learns a tree
/// ensemble's leaf embeddings by the weight each has in the prediction (DeepGBM, KDD 2019). The regressor bridges the widths and is dropped at export. dL/dr = (r − v_T)/N: the student receives it
/// through W. Candidates without a teacher vector are left out.
/// </remarks>
internal sealed class FeatureHint : MethodPart
{
    public const string Name = "hint";

    private readonly Perceptron regressor;
    private readonly HintOptions options;

    /// <param name="teacherWidth">Width of the teacher's vectors.</param>
    public FeatureHint(PartContext context, int teacherWidth, HintOptions options)
    {
        this.options = options;
        regressor = Register(Name, new Perceptron(Guided.Width(context.Shape, options.Guided), [], teacherWidth, new(context.Seed(Name))));
    }

    public override void Run(LearningStep step)
    {
        if (step.Number < options.FromStep || step.Number >= options.UntilStep || step.TeacherVectors is not { } teacher)
            return;
        var student = Guided.Of(step, options.Guided);
        var vectors = teacher.Values;
        if (Guided.Places(teacher.Known) is { } known)
        {
            if (known.Length == 0)
                return;
            (student, vectors) = (student.index_select(0, tensor(known)), vectors.index_select(0, tensor(known)));
        }
        var weights = options.DimensionWeights is { } of ? tensor(of.Select(w => (float)w).ToArray()) : null;
        step.Add(Name, SquaredDistance(regressor.forward(student), vectors, weights), options.Weight * 0.5);
    }

    /// <summary>Σ_d w_d·(r_d − v_d)², mean over candidates.</summary>
    /// <param name="regressed">[N, width].</param>
    /// <param name="teacher">[N, width].</param>
    /// <param name="weights">[width]; null: all 1.</param>
    internal static Tensor SquaredDistance(Tensor regressed, Tensor teacher, Tensor? weights = null)
    {
        var squares = regressed.sub(teacher.detach()).square();
        return (weights is null ? squares : squares.mul(weights)).sum(1).mean();
    }
}
