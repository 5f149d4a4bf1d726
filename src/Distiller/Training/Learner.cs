using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Distiller.Training;

/// <summary><c>optimizer</c> of distiller.json.</summary>
public sealed record OptimizerConfig
{
    public DenseOptimizerOptions Dense { get; init; } = new();

    public RowOptimizerOptions Embedding { get; init; } = new();
}

/// <summary>A student with its rows and optimisers: everything that changes when it learns. One thread.</summary>
public sealed class Learner : IDisposable
{
    private const string MethodPrefix = "method.";

    private readonly ulong seed;

    /// <param name="seed">Two learners of one seed begin with identical students, whatever their methods.</param>
    /// <param name="method">Taken over.</param>
    public Learner(FeatureSchema schema, StudentConfig config, OptimizerConfig optimizer, ulong seed, Method method)
    {
        this.seed = seed;
        Method = method;
        Student = Student.Create(config, schema, seed);
        Embeddings = new(schema, optimizer.Embedding, seed);
        Adam = new(NamedParameters, optimizer.Dense);
    }

    public Method Method { get; }

    public Student Student { get; }

    public SparseEmbeddings Embeddings { get; }

    public DenseAdam Adam { get; }

    public PhaseTimes Phases { get; } = new();

    /// <summary>Weighted loss of the last batch learned; NaN before the first.</summary>
    public double Loss { get; private set; } = double.NaN;

    /// <summary>Unweighted losses of the last batch by name.</summary>
    public IReadOnlyDictionary<string, double> Losses => Method.Losses;

    /// <summary>Everything dense that learns: the student's weights, then the method's as <c>method.…</c>; <see cref="Adam"/> holds moments of each.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters => Student.named_parameters().Select(p => (p.name, p.parameter))
        .Concat(Method.NamedParameters.Select(p => ($"{MethodPrefix}{p.Name}", p.Parameter)));

    /// <summary>All rows and Adagrad's sums, by name: the student's, then those that parts of the method have of their own.</summary>
    public IEnumerable<(string Name, EmbeddingTable Table)> NamedTables => AllEmbeddings.SelectMany(e => e.Embeddings.Tables.Zip(e.Embeddings.Accumulators)
        .SelectMany(t => ((string, EmbeddingTable)[])[($"{e.Prefix}rows.{t.First.Shape.Name}", t.First), ($"{e.Prefix}adagrad.{t.First.Shape.Name}", t.Second)]));

    /// <summary>What else the method remembers, by name.</summary>
    public IDictionary<string, long> Counters => Method.Counters;

    private IEnumerable<(string Prefix, SparseEmbeddings Embeddings)> AllEmbeddings =>
        Method.Parts.Where(p => p.Rows is not null).Select(p => ($"{MethodPrefix}{p.Rows!.Value.Name}.", p.Rows.Value.Embeddings)).Prepend(("", Embeddings));

    /// <summary>Dense weights and embedding elements.</summary>
    public long ParameterCount => Student.ParameterCount + Embeddings.Tables.Sum(t => (long)t.Rows * t.Width);

    /// <summary>Scores the batch, then learns it: one forward pass for both.</summary>
    /// <param name="logits">[N × T] row-major: what the student said before it saw the labels.</param>
    /// <returns>False when the batch held nothing to learn from.</returns>
    /// <exception cref="NotFiniteNumberException">The loss is not a number; nothing was applied.</exception>
    public bool ScoreAndLearn(FeatureBatch batch, Span<float> logits)
    {
        using var scope = NewDisposeScope();
        Phases.Begin();
        var step = Forward(batch);
        Floats(step.Logits, logits);
        Phases.EndForward();
        var loss = Method.Loss(step);
        if (loss is null)
            return false;
        Loss = loss.Value;
        if (!double.IsFinite(Loss))
            throw new NotFiniteNumberException($"training loss is {Loss}: {string.Join(", ", Losses.Select(l => $"{l.Key} {l.Value}"))}; lower optimizer learning rates", Loss);
        Phases.EndLoss();
        loss.Backward();
        Phases.EndBackward();
        Adam.Step();
        foreach (var (embeddings, rows, matrix) in step.Gathered)
            embeddings.Accumulate(rows, matrix.grad);
        foreach (var (_, embeddings) in AllEmbeddings)
            embeddings.Step();
        Phases.EndApply();
        return true;
    }

    /// <summary>What the student says of a batch, with everything a method reads; within a dispose scope.</summary>
    internal LearningStep Forward(FeatureBatch batch)
    {
        var user = Embeddings.Gather(batch.User);
        var item = Embeddings.Gather(batch.Item);
        var live = Student.Signature.LiveWidth == 0 ? null : Embeddings.Gather(batch.Live);
        Phases.EndGather();
        var input = Input(batch, user, item, live);
        var lower = Student.Lower(input);
        var output = Student.Upper(Method.StopsAtLower ? lower.detach() : lower, input);
        var step = new LearningStep(batch, output.Logits, Adam.Steps)
        {
            Input = input,
            Lower = lower,
            Hidden = output.Hidden,
            Embeddings = Embeddings,
            Draw = FeatureHash.Mix(seed ^ FeatureHash.Mix((ulong)Adam.Steps + 1)),
        };
        step.AddGathered(Embeddings, batch.User, user);
        step.AddGathered(Embeddings, batch.Item, item);
        if (live is not null)
            step.AddGathered(Embeddings, batch.Live, live);
        return step;
    }

    /// <summary>What it would say now; [N × T] row-major.</summary>
    public void Score(FeatureBatch batch, Span<float> logits) => Score(Student, Embeddings.Tables, batch, logits);

    public void Dispose()
    {
        Adam.Dispose();
        Embeddings.Dispose();
        Student.Dispose();
        Method.Dispose();
    }

    internal static void Score(Student student, IReadOnlyList<EmbeddingTable> tables, FeatureBatch batch, Span<float> logits)
    {
        using var quiet = no_grad();
        using var scope = NewDisposeScope();
        var live = student.Signature.LiveWidth == 0 ? null : RowGather.Gather(tables, batch.Live);
        Floats(student.call(Input(batch, RowGather.Gather(tables, batch.User), RowGather.Gather(tables, batch.Item), live)), logits);
    }

    private static StudentInput Input(FeatureBatch batch, Tensor user, Tensor item, Tensor? live)
    {
        var rowOf = empty([batch.Candidates], dtype: ScalarType.Int64);
        MemoryMarshal.AsBytes(batch.RowOf).CopyTo(rowOf.bytes);
        return new(user, item, live, rowOf, batch.UniformCandidates);
    }

    private static void Floats(Tensor output, Span<float> logits)
    {
        using var dense = output.detach().cpu();
        MemoryMarshal.Cast<byte, float>(dense.bytes).CopyTo(logits);
    }
}
