using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Teachers;

/// <summary>One network of the teacher that files are scored with: learns records in epochs, then scores others.</summary>
/// <remarks>One thread. Equal seeds, records and machines give equal logits.</remarks>
public sealed class OfflineTeacher : IDisposable
{
    private readonly OfflineTeacherConfig config;
    private readonly FeatureSchema schema;
    private readonly DeepCrossNetwork network;
    private readonly SparseEmbeddings rows;
    private readonly DenseAdam adam;
    private readonly HardLabelLoss hardLabels;
    private readonly FeatureBatch batch;
    private readonly ulong seed;

    /// <param name="studentSchema">Gives features and targets; widths of embeddings are the teacher's own.</param>
    public OfflineTeacher(FeatureSchema studentSchema, TeacherConfig teacher, ulong seed)
    {
        config = teacher.Offline;
        this.seed = seed;
        schema = SchemaOf(studentSchema, teacher);
        manual_seed((long)(seed & long.MaxValue));
        network = new(schema, new(config.CrossLayers, 0, config.Deep, teacher.InitialLogit, config.BatchNorm, config.Dropout));
        rows = new(schema, new() { LearningRate = config.EmbeddingLearningRate }, seed);
        adam = new(network.named_parameters(), new() { LearningRate = config.LearningRate });
        hardLabels = new(teacher.HardLabel);
        batch = new(schema, [], withPrivileged: schema.Privileged.Features.Count > 0);
    }

    /// <summary>The student's features with the teacher's widths of embeddings.</summary>
    public static FeatureSchema SchemaOf(FeatureSchema schema, TeacherConfig teacher)
    {
        var width = teacher.Offline.EmbeddingDim;
        if (width == 0)
            return schema;
        var root = JsonNode.Parse(schema.Json, documentOptions: new() { CommentHandling = System.Text.Json.JsonCommentHandling.Skip, AllowTrailingCommas = true })!;
        foreach (var feature in root["features"]!.AsArray())
        {
            if (feature!["dim"] is not null)
                feature["dim"] = width;
        }
        return FeatureSchema.Parse(root.ToJsonString());
    }

    /// <summary>Weights of the dense part and of all embedding rows.</summary>
    public long ParameterCount => network.parameters().Sum(p => p.numel()) + rows.Tables.Sum(t => (long)t.Rows * t.Width);

    /// <summary>Learns the records' labels for the configured epochs, in an order of its own in each.</summary>
    /// <param name="progress">Called after each batch with the share of the work that is done.</param>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public void Learn(IReadOnlyList<TeacherRecord> records, Action<double> progress, CancellationToken cancellation)
    {
        network.train();
        for (var epoch = 0; epoch < config.Epochs; epoch++)
        {
            var learned = 0;
            foreach (var record in SampleOrder.Shuffled(records, seed, epoch))
            {
                batch.Add(record);
                learned++;
                if (batch.Candidates < config.BatchCandidates)
                    continue;
                cancellation.ThrowIfCancellationRequested();
                LearnBatch();
                progress((epoch + (double)learned / records.Count) / config.Epochs);
            }
            // What is left is seen in the next epoch's order: a tiny batch would spoil the normalisation.
            batch.Clear();
        }
    }

    /// <summary>Logits of every candidate, record after record; [targets][candidates].</summary>
    public float[][] Score(IEnumerable<TeacherRecord> records)
    {
        network.eval();
        var logits = schema.Targets.Select(_ => new List<float>()).ToArray();
        batch.Clear();
        foreach (var record in records)
        {
            batch.Add(record);
            if (batch.Candidates >= config.BatchCandidates)
                ScoreBatch();
        }
        if (batch.Records > 0)
            ScoreBatch();
        return [.. logits.Select(l => l.ToArray())];

        void ScoreBatch()
        {
            using var quiet = no_grad();
            using var scope = NewDisposeScope();
            using var output = network.call(Input(Gather)).contiguous();
            var values = MemoryMarshal.Cast<byte, float>(output.bytes);
            for (var i = 0; i < values.Length; i++)
                logits[i % logits.Length].Add(values[i]);
            batch.Clear();
        }

        Tensor? Gather(GroupRows? group) => group is null || group.Group.Width == 0 ? null : RowGather.Gather(rows.Tables, group);
    }

    public void Dispose()
    {
        adam.Dispose();
        network.Dispose();
        rows.Dispose();
    }

    private void LearnBatch()
    {
        using var scope = NewDisposeScope();
        var gathered = new List<(GroupRows Rows, Tensor Matrix)>();
        var output = network.call(Input(Gather));
        Tensor? loss = null;
        for (var t = 0; t < schema.Targets.Count; t++)
        {
            if (hardLabels.Value(output.select(1, t), batch, t) is { } one)
                loss = loss is null ? one : loss.add(one);
        }
        if (loss is not null)
        {
            if (config.L2 > 0)
            {
                foreach (var (_, matrix) in gathered)
                    loss = loss.add(matrix.mul(matrix).sum().mul(config.L2 / batch.Candidates));
            }
            loss.backward();
            foreach (var (group, matrix) in gathered)
            {
                if (matrix.grad is { } gradient)
                    rows.Accumulate(group, gradient);
            }
            rows.Step();
            adam.Step();
        }
        batch.Clear();

        Tensor? Gather(GroupRows? group)
        {
            if (group is null || group.Group.Width == 0)
                return null;
            var matrix = rows.Gather(group);
            gathered.Add((group, matrix));
            return matrix;
        }
    }

    private TeacherInput Input(Func<GroupRows?, Tensor?> gather) => new(gather(batch.User)!, gather(batch.Item)!, gather(batch.Live),
        gather(batch.Privileged), tensor(batch.RowOf.ToArray()), batch.UniformCandidates);
}
