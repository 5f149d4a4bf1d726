using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>The student's candidates lie to each other as the teacher's do: see <see cref="Relations"/> for the kinds.</summary>
/// <remarks>A bounded sample of each session is compared. Projections and experts are dropped at export.</remarks>
internal sealed class RelationHint : MethodPart
{
    public const string Name = "relation";

    private readonly RelationOptions options;
    private readonly RelationKind kind;
    private readonly Perceptron? projection;
    private readonly Experts? experts;

    /// <param name="teacherWidth">Width of the teacher's vectors.</param>
    public RelationHint(PartContext context, int teacherWidth, RelationKind kind, RelationOptions options)
    {
        this.kind = kind;
        this.options = options;
        var width = Guided.Width(context.Shape, options.Guided);
        if (kind == RelationKind.InfoNce)
            projection = Register(Name, new Perceptron(width, [], teacherWidth, new(context.Seed(Name))));
        if (kind is RelationKind.HierarchicalTopology or RelationKind.Experts)
            experts = Register(Name, new Experts(options.Experts, width, teacherWidth, new(context.Seed(Name))));
    }

    public override void Run(LearningStep step)
    {
        if (step.TeacherVectors is not { } vectors)
            return;
        if (kind == RelationKind.Experts)
        {
            AddExperts(step, Guided.Of(step, options.Guided), vectors.Values, Guided.Places(vectors.Known));
            return;
        }
        if (SessionSample.Take(step.Batch.Starts, vectors.Known, options.MaxCandidates, step.Draw) is not { } sample)
            return;
        var student = sample.Of(Guided.Of(step, options.Guided));
        var teacher = sample.Of(vectors.Values);
        switch (kind)
        {
            case RelationKind.Relational:
                step.Add($"{Name}_distance", Relations.Distance(student, teacher, sample.Mask), options.DistanceWeight * options.Weight);
                if (options.AngleWeight > 0)
                    step.Add($"{Name}_angle", Relations.Angle(student, teacher, sample.Mask), options.AngleWeight * options.Weight);
                break;
            case RelationKind.FullTopology:
                step.Add(Name, Relations.FullTopology(student, teacher, sample.Mask), options.Weight);
                break;
            case RelationKind.InfoNce:
                var query = Normal(projection!.forward(student.reshape(-1, student.shape[2]))).reshape(teacher.shape);
                var key = Normal(teacher.reshape(-1, teacher.shape[2])).reshape(teacher.shape);
                step.Add(Name, options.BothSides
                    ? Relations.BothSidesNce(query, key, sample.Mask, options.Temperature)
                    : Relations.InfoNce(query, key, sample.Mask, options.Temperature), options.Weight);
                break;
            default:
                var flat = teacher.reshape(-1, teacher.shape[2]);
                var groups = experts!.forward(flat).argmax(1);
                var members = zeros([flat.shape[0], options.Experts]).scatter_(1, groups.unsqueeze(1), 1).reshape(teacher.shape[0], teacher.shape[1], options.Experts);
                step.Add(Name, Relations.HierarchicalTopology(student, teacher, sample.Mask, members), options.Weight * options.Alpha);
                AddExperts(step, Guided.Of(step, options.Guided), vectors.Values, Guided.Places(vectors.Known));
                break;
        }

        static Tensor Normal(Tensor of) => nn.functional.normalize(of);
    }

    private void AddExperts(LearningStep step, Tensor student, Tensor teacher, long[]? places)
    {
        if (places is { Length: 0 })
            return;
        if (places is not null)
            (student, teacher) = (student.index_select(0, tensor(places)), teacher.index_select(0, tensor(places)));
        var noise = Experts.Gumbel(step.Draw, (int)teacher.shape[0], options.Experts);
        var temperature = Experts.Temperature(step.Number, options.GumbelStart, options.GumbelEnd, options.GumbelSteps);
        var choice = Experts.Relaxed(experts!.forward(teacher), noise, temperature);
        step.Add($"{Name}_experts", Experts.Value(teacher, experts.Outputs(student), choice),
            kind == RelationKind.Experts ? options.Weight : options.Weight * (1 - options.Alpha));
    }
}
