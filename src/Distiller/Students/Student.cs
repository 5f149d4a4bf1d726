using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Students;

/// <summary>The dense matrices a student reads.</summary>
/// <param name="User">[U, user width].</param>
/// <param name="Item">[N, item width].</param>
/// <param name="Live">[N, live width]; null when the schema has no live or cross features.</param>
/// <param name="RowOf">[N] int64: the user row of each candidate, ascending.</param>
/// <param name="UniformCandidates">Candidates of every user when all have as many, else 0: lets the user part be repeated
/// by a broadcast, whose gradient is a plain sum.</param>
public readonly record struct StudentInput(Tensor User, Tensor Item, Tensor? Live, Tensor RowOf, int UniformCandidates);

/// <summary>What a student says of N candidates, and what it says it from.</summary>
/// <param name="Logits">[N, T].</param>
/// <param name="Hidden">[N, <see cref="Student.HiddenWidth"/>]: the representation that enters the last layer.</param>
public readonly record struct StudentOutput(Tensor Logits, Tensor Hidden);

/// <summary>The dense part of a student as a torch module. Uses only operators that the exporter can write to ONNX.</summary>
/// <remarks>
/// What each family computes is documented at <see cref="DenseMlp"/> and <see cref="DenseTwoTower"/>. Both are cut in two, so that a
/// method can share the lower layers with a teacher or block a gradient between the halves: <c>Upper(Lower(input), input)</c>.
/// </remarks>
public abstract class Student : Module<StudentInput, Tensor>
{
    protected Student(string name, StudentSignature signature) : base(name) => Signature = signature;

    public StudentSignature Signature { get; }

    /// <summary>Width of <see cref="Lower"/>'s output.</summary>
    public abstract int LowerWidth { get; }

    /// <summary>Width of <see cref="StudentOutput.Hidden"/>.</summary>
    public abstract int HiddenWidth { get; }

    /// <summary>Dense weights and biases.</summary>
    public long ParameterCount => parameters().Sum(p => p.numel());

    /// <summary>A student with weights drawn from <paramref name="seed"/> alone: two of one seed begin identically.</summary>
    public static Student Create(StudentConfig config, FeatureSchema schema, ulong seed) => config.Family switch
    {
        StudentFamily.TwoTower => Create(TwoTowerStudent.Initial(config, schema, new(seed))),
        _ => Create(MlpStudent.Initial(config, schema, new(seed))),
    };

    /// <summary>A student with these weights.</summary>
    public static Student Create(DenseStudent dense) => dense switch
    {
        DenseMlp mlp => new MlpStudent(mlp),
        DenseTwoTower towers => new TwoTowerStudent(towers),
        _ => throw new NotSupportedException($"family {dense.Signature.Family}"),
    };

    /// <summary>mlp: the first layer, after its relu; two_tower: both towers and their elementwise product. [N, <see cref="LowerWidth"/>]</summary>
    public abstract Tensor Lower(StudentInput input);

    /// <summary>The rest, from a representation that <see cref="Lower"/> gave.</summary>
    public abstract StudentOutput Upper(Tensor lower, StudentInput input);

    /// <returns>Logits [N, T].</returns>
    public sealed override Tensor forward(StudentInput input) => Upper(Lower(input), input).Logits;

    /// <summary>The weights of now as plain arrays.</summary>
    public abstract DenseStudent ToDense();

    /// <summary>Joins each candidate's row with its user's: [N, H] and [U, H] → [N, H].</summary>
    protected static Tensor PerCandidate(Tensor candidates, Tensor users, StudentInput input, Func<Tensor, Tensor, Tensor> join)
    {
        if (input.UniformCandidates == 0)
            return join(candidates, users.index_select(0, input.RowOf));
        var width = users.shape[1];
        return join(candidates.reshape(users.shape[0], input.UniformCandidates, width), users.unsqueeze(1)).reshape(-1, width);
    }
}
