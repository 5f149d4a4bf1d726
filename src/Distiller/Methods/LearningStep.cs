using System.Runtime.InteropServices;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>Soft labels that a part of a method made.</summary>
/// <param name="Logits">[N, T]; anything where <paramref name="Known"/> is false.</param>
/// <param name="Known">Whether a candidate has one, [N]; null: all have.</param>
public sealed record SoftLabels(Tensor Logits, bool[]? Known = null);

/// <summary>One batch on its way through a method: what the student said, what the parts add, and which rows were gathered.</summary>
/// <remarks>Lives in the dispose scope of one step. One thread.</remarks>
public sealed class LearningStep
{
    private readonly Dictionary<string, Tensor> predictions;
    private readonly Dictionary<string, Tensor> gradients = [];
    private readonly Dictionary<string, SoftLabels> softLabels = [];
    private readonly Dictionary<int, float[]> recordWeights = [];
    private readonly List<(SparseEmbeddings Embeddings, GroupRows Rows, Tensor Matrix)> gathered = [];
    private readonly List<(string Name, Tensor Loss, double Weight)> terms = [];
    private SessionIndex? sessions;

    /// <param name="logits">The student's, [N, T].</param>
    /// <param name="number">Steps the learner has taken before this one.</param>
    public LearningStep(FeatureBatch batch, Tensor logits, long number = 0)
    {
        Batch = batch;
        Number = number;
        predictions = new() { [""] = logits };
    }

    public FeatureBatch Batch { get; }

    public long Number { get; }

    /// <summary>The student's logits, [N, T].</summary>
    public Tensor Logits => predictions[""];

    /// <summary>What the student read; its matrices are leaves that collect gradients.</summary>
    public StudentInput Input { get; init; }

    /// <summary>Output of <see cref="Student.Lower"/>, with its gradient path; [N, <see cref="Student.LowerWidth"/>].</summary>
    public Tensor? Lower { get; init; }

    /// <summary>See <see cref="StudentOutput.Hidden"/>.</summary>
    public Tensor? Hidden { get; init; }

    /// <summary>The student's rows, which parts may share.</summary>
    public SparseEmbeddings? Embeddings { get; init; }

    /// <summary>Seeds what parts and losses sample in this step.</summary>
    public ulong Draw { get; init; }

    /// <summary>A joint teacher's hidden layers in turn, [N, width] each, without gradient; empty without one.</summary>
    public IReadOnlyList<Tensor> TeacherLayers { get; set; } = [];

    /// <summary>A joint teacher's representation of each candidate, or one that the stream brought; null when there is none.</summary>
    public TeacherVectors? TeacherVectors { get; set; }

    /// <summary>Sessions of the batch: one a record.</summary>
    public SessionIndex Sessions => sessions ??= Batch.UniformCandidates > 0
        ? SessionIndex.Uniform(Batch.Records, Batch.UniformCandidates)
        : SessionIndex.Of(Batch.RowOf);

    /// <summary>Losses of the parts' own.</summary>
    public IReadOnlyList<(string Name, Tensor Loss, double Weight)> Terms => terms;

    /// <summary>Matrices that were gathered, each with the rows its gradient belongs to.</summary>
    public IReadOnlyList<(SparseEmbeddings Embeddings, GroupRows Rows, Tensor Matrix)> Gathered => gathered;

    /// <summary>A head's logits, [N, T]; the student's own head is the empty name.</summary>
    public Tensor Prediction(string head) => predictions[head];

    /// <summary>A head's logits as plain numbers, row-major [N, T].</summary>
    public ReadOnlySpan<float> PredictionValues(string head) => MemoryMarshal.Cast<byte, float>(predictions[head].detach().contiguous().bytes);

    /// <summary>Where losses that know their slope add dL/dlogits of a head; row-major [N, T], zero at first.</summary>
    public Span<float> Gradient(string head)
    {
        if (!gradients.TryGetValue(head, out var gradient))
            gradients[head] = gradient = zeros(predictions[head].shape, dtype: ScalarType.Float32);
        return MemoryMarshal.Cast<byte, float>(gradient.bytes);
    }

    /// <summary>Heads that have a gradient, with their logits.</summary>
    public IEnumerable<(Tensor Logits, Tensor Gradient)> Gradients => gradients.Select(g => (predictions[g.Key], g.Value));

    /// <summary>Gives <c>kd</c> entries another head to name: <c>HEAD_logits</c>.</summary>
    public void AddPrediction(string head, Tensor logits) => predictions[head] = logits;

    /// <summary>Soft labels that a part made under this name.</summary>
    public SoftLabels SoftLabels(string name) => softLabels[name];

    /// <summary>Gives <c>kd</c> entries another soft label to name.</summary>
    public void AddSoftLabels(string name, SoftLabels labels) => softLabels[name] = labels;

    /// <summary>Weighs what a source of the stream says of each record, [U].</summary>
    public void WeighRecords(int source, float[] weights) => recordWeights[source] = weights;

    /// <summary>Null: every record weighs 1.</summary>
    public float[]? RecordWeights(int source) => recordWeights.GetValueOrDefault(source);

    /// <summary>Adds a term to the loss.</summary>
    /// <param name="loss">A scalar; null adds nothing.</param>
    public void Add(string name, Tensor? loss, double weight)
    {
        if (loss is not null && weight != 0)
            terms.Add((name, loss, weight));
    }

    /// <summary>The group's vectors as a leaf whose gradient goes back to the rows; [rows.Count, width].</summary>
    public Tensor Gather(SparseEmbeddings embeddings, GroupRows rows)
    {
        var matrix = embeddings.Gather(rows);
        AddGathered(embeddings, rows, matrix);
        return matrix;
    }

    /// <summary>Notes a matrix that has been gathered, so that its gradient finds its rows.</summary>
    public void AddGathered(SparseEmbeddings embeddings, GroupRows rows, Tensor matrix) => gathered.Add((embeddings, rows, matrix));

    /// <summary>A user matrix [U, W] with a row for each candidate, [N, W].</summary>
    public Tensor PerCandidate(Tensor users)
    {
        if (Batch.UniformCandidates == 0)
            return users.index_select(0, Input.RowOf);
        var width = users.shape[1];
        return users.unsqueeze(1).expand(Batch.Records, Batch.UniformCandidates, width).reshape(-1, width);
    }

    /// <summary>A column of the batch as a tensor of its own, [N] or as shaped.</summary>
    public static Tensor Copy(ReadOnlySpan<float> values, params long[] shape)
    {
        var copy = empty(shape.Length == 0 ? [values.Length] : shape, dtype: ScalarType.Float32);
        values.CopyTo(MemoryMarshal.Cast<byte, float>(copy.bytes));
        return copy;
    }
}

/// <summary>A teacher's representation of each candidate.</summary>
/// <param name="Values">[N, width]; no gradient.</param>
/// <param name="Known">Whether a candidate has one, [N]; null: all have.</param>
public sealed record TeacherVectors(Tensor Values, bool[]? Known);
