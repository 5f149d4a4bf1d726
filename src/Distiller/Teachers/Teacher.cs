using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Teachers;

/// <summary>A strong ranking model that goes on learning: embedding rows, a <see cref="DeepCrossNetwork"/> and their optimisers.</summary>
/// <remarks>
/// One thread (torch's dispose scopes belong to a thread). What is scored is learned from the same forward pass:
/// <code>
/// using var scored = teacher.Score(batch);   // logits of now
/// ...                                        // stream them
/// scored.Learn();
/// </code>
/// </remarks>
public sealed class Teacher : IDisposable
{
    private readonly HardLabelLoss hardLabels;

    /// <param name="seed">Two teachers of one seed begin identically.</param>
    public Teacher(FeatureSchema schema, TeacherConfig config, ulong seed)
    {
        Schema = schema;
        Config = config;
        manual_seed((long)seed);
        Network = new(schema, new(config.CrossLayers, config.CrossRank, config.Deep, config.InitialLogit));
        Rows = new(schema, new RowOptimizerOptions { LearningRate = config.EmbeddingLearningRate }, seed);
        Optimizer = new(Network.named_parameters(), new() { LearningRate = config.LearningRate });
        hardLabels = new(config.HardLabel);
    }

    public FeatureSchema Schema { get; }

    public TeacherConfig Config { get; }

    /// <summary>Goes up while it streams; see <see cref="TeacherConfig.BatchesPerVersion"/>.</summary>
    public long Version { get; set; } = 1;

    public DeepCrossNetwork Network { get; }

    public SparseEmbeddings Rows { get; }

    public DenseAdam Optimizer { get; }

    /// <summary>Weights of the dense part and of all embedding rows.</summary>
    public long ParameterCount => Network.parameters().Sum(p => p.numel()) + Rows.Tables.Sum(t => (long)t.Rows * t.Width);

    /// <summary>An empty batch of the kind it reads.</summary>
    public FeatureBatch NewBatch() => new(Schema, [], withPrivileged: Schema.Privileged.Features.Count > 0);

    /// <summary>Logits by the weights of now. Dispose the result, learned or not, before the next call.</summary>
    public ScoredBatch Score(FeatureBatch batch) => new(this, batch);

    public void Dispose()
    {
        Optimizer.Dispose();
        Network.Dispose();
        Rows.Dispose();
    }

    /// <summary>Loss of one target: binary cross entropy and, if configured, softmax cross entropy over each impression.</summary>
    internal Tensor? Loss(Tensor logits, FeatureBatch batch, int target, SessionIndex sessions)
    {
        var loss = hardLabels.Value(logits, batch, target)?.mul(hardLabels.Weight);
        if (Config.ListwiseWeight == 0)
            return loss;

        // Positives of an impression share its weight; an impression without one says nothing here.
        var states = batch.Labels(target);
        var shares = new float[states.Length];
        var starts = batch.Starts;
        for (var r = 0; r + 1 < starts.Length; r++)
        {
            var positives = states[starts[r]..starts[r + 1]].Count((byte)LabelState.Positive);
            for (var i = starts[r]; i < starts[r + 1]; i++)
                shares[i] = states[i] == (byte)LabelState.Positive ? 1f / positives : 0;
        }
        var corrected = Config.HardLabel.LogQCorrection ? logits.sub(tensor(batch.LogQ.ToArray())) : logits;
        var listwise = nn.functional.log_softmax(sessions.Pad(corrected, Absent), 1).mul(sessions.Pad(tensor(shares), 0)).sum()
            .mul(-Config.ListwiseWeight / batch.Records);
        return loss is null ? listwise : loss.add(listwise);
    }

    // A padded place: far below every logit, yet finite, so that 0 × log_softmax stays 0.
    private const double Absent = -1e30;
}
