using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>The student's representation, through a regressor, imitates the teacher's: ½·‖v_T − (W·v_S + b)‖², mean over candidates.</summary>
/// <remarks>
/// FitNets (arXiv:1412.6550); the regressor bridges the widths and is dropped at export. dL/dr = (r − v_T)/N: the student receives it
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
        if (Guided.Places(teacher.Known) is not { } known)
            step.Add(Name, Value(regressor.forward(student), teacher.Values), options.Weight);
        else if (known.Length > 0)
            step.Add(Name, Value(regressor.forward(student.index_select(0, tensor(known))), teacher.Values.index_select(0, tensor(known))), options.Weight);
    }

    /// <param name="regressed">[N, width].</param>
    /// <param name="teacher">[N, width].</param>
    internal static Tensor Value(Tensor regressed, Tensor teacher) => regressed.sub(teacher.detach()).square().sum(1).mean().mul(0.5);
}
