using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>Trains students on files for as long as the inner split's AUC rises, each from the same budget, and judges them on the validation part.</summary>
public sealed class EpochComparison(FeatureSchema schema, StudentConfig shape, DistillerConfig config, TaughtData data) : IComparison
{
    /// <inheritdoc/>
    public OfflineMetrics? Teacher { get; } = data.Teacher.Valid.Length == 0
        ? null
        : OfflineMetrics.Of(data.Valid, data.Teacher.Valid, schema, config.HardLabel.LogQCorrection) with { OverlapAt10 = data.Probes.Count == 0 ? null : 1 };

    /// <inheritdoc/>
    public string? Missing(Contender contender) => contender.Missing(schema, data.Teachers, data.Extended.Count > 0);

    /// <inheritdoc/>
    public StudentRun Run(Contender contender, int seed, Action<double> progress, CancellationToken cancellation)
    {
        var own = contender.Configure(config, seed);
        var method = contender.Method(schema, shape, own);
        using var training = new OfflineTraining(schema, shape, own, method, contender.WantsUnexposed ? data.Extended : [data.Train], own.Seed);
        var (best, bestEpoch, watch) = ((OfflineMetrics?)null, 0, new Stopwatch());
        FrozenStudent? kept = null;
        try
        {
            while (training.Epoch < config.Offline.Epochs && training.Epoch - bestEpoch < config.Offline.Patience)
            {
                watch.Start();
                training.RunEpoch(() =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    progress((training.Epoch + (double)training.Learned / training.Records) / config.Offline.Epochs);
                    return true;
                });
                watch.Stop();
                var inner = OfflineMetrics.Of(data.Inner, training.Score(data.Inner), schema, config.HardLabel.LogQCorrection);
                if (best is not null && !(inner.Auc > best.Auc))
                    continue;
                (best, bestEpoch) = (inner, training.Epoch);
                kept?.Dispose();
                kept = Frozen(training.Learner);
            }
            var valid = OfflineMetrics.Of(data.Valid, OfflineScores.Of(schema, kept!.Score, data.Valid), schema, config.HardLabel.LogQCorrection) with
            {
                OverlapAt10 = data.Teacher.Probes.Length == 0 ? null
                    : OfflineMetrics.Overlap(data.Probes, OfflineScores.Of(schema, kept.Score, data.Probes), data.Teacher.Probes),
            };
            return new(contender.Name, seed, best!, valid, training.Epoch, training.Candidates / watch.Elapsed.TotalSeconds);
        }
        finally
        {
            kept?.Dispose();
        }
    }

    private static FrozenStudent Frozen(Learner learner) =>
        new(0, learner.Student.ToDense(), [.. learner.Embeddings.Tables.Select(t => t.Fork())]);
}
