using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>Trains one student from records in memory, epoch by epoch. One thread; equal inputs give equal bits.</summary>
/// <remarks>
/// Where it is, is three numbers: epoch, records of the epoch learned, steps of the optimiser. Orders are functions of seed and epoch, so
/// that a learner restored at such a place goes on exactly as one that never stopped.
/// </remarks>
public sealed class OfflineTraining : IDisposable
{
    private readonly FeatureSchema schema;
    private readonly DistillerConfig config;
    private readonly IReadOnlyList<IReadOnlyList<TeacherRecord>> draws;
    private readonly FeatureBatch batch;
    private readonly ulong seed;
    private float[] logits = [];

    /// <param name="draws">The training records, one list or several whose r-th records are the same impression; epochs take them in turn.</param>
    /// <param name="method">Taken over.</param>
    public OfflineTraining(FeatureSchema schema, StudentConfig shape, DistillerConfig config, Method method,
        IReadOnlyList<IReadOnlyList<TeacherRecord>> draws, ulong seed)
    {
        (this.schema, this.config, this.draws, this.seed) = (schema, config, draws, seed);
        batch = method.NewBatch();
        Learner = new(schema, shape, config.Optimizer, seed, method);
    }

    public Learner Learner { get; }

    /// <summary>Whole epochs behind it.</summary>
    public int Epoch { get; set; }

    /// <summary>Records learned of the epoch that runs.</summary>
    public int Learned { get; set; }

    /// <summary>Candidates learned since it was made, for the throughput.</summary>
    public long Candidates { get; private set; }

    /// <summary>Records of an epoch.</summary>
    public int Records => draws[0].Count;

    /// <summary>Learns the rest of the epoch.</summary>
    /// <param name="afterStep">Called between two steps; false stops there.</param>
    /// <returns>Whether the epoch is complete.</returns>
    /// <exception cref="NotFiniteNumberException">The loss is not a number.</exception>
    public bool RunEpoch(Func<bool> afterStep)
    {
        var order = SampleOrder.Of(Records, seed, Epoch);
        var records = draws[Epoch % draws.Count];
        while (Learned < order.Length)
        {
            batch.Clear();
            var end = Math.Min(order.Length, Learned + config.BatchRecords);
            for (; Learned < end; Learned++)
                batch.Add(records[order[Learned]]);
            if (logits.Length < batch.Candidates * schema.Targets.Count)
                logits = new float[2 * batch.Candidates * schema.Targets.Count];
            Learner.ScoreAndLearn(batch, logits.AsSpan(0, batch.Candidates * schema.Targets.Count));
            Candidates += batch.Candidates;
            if (!afterStep() && Learned < order.Length)
                return false;
        }
        Epoch++;
        Learned = 0;
        return true;
    }

    /// <summary>The student's logits of the first target, [candidates of all records].</summary>
    public float[] Score(IReadOnlyList<TeacherRecord> records) => OfflineScores.Of(schema, Learner.Score, records);

    public void Dispose() => Learner.Dispose();
}
