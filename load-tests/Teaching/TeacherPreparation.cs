using System.Diagnostics;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;
using KdServing.Distiller.Training;

namespace KdServing.LoadTests.Teaching;

/// <summary>How a preparation went.</summary>
/// <param name="Impressions">Learned.</param>
/// <param name="Skipped">Passed over, to end within the time.</param>
/// <param name="Gauc">Of the last <see cref="TeacherPreparation.WindowImpressions"/>, each scored before it was learned; null without labels.</param>
public sealed record PreparationReport(long Impressions, long Skipped, double Seconds, double? Auc, double? Gauc, double? Logloss);

/// <summary>Teaches the teacher the history before the replay, in event order, within a time budget.</summary>
public sealed class TeacherPreparation(DatasetReader reader, Teacher teacher, double budgetSeconds)
{
    /// <summary>Length of a point of the learning curve.</summary>
    public const int WindowImpressions = 5000;

    // The first batches include the compiler's work; they say nothing about the speed.
    private const double WarmUpSeconds = 3;

    /// <summary>Called after each batch: 0 to 1, impressions learned so far, figures of the window that runs.</summary>
    public Action<double, long, ProgressiveMetrics>? Progress { get; init; }

    /// <summary>Called at the end of each window.</summary>
    public Action<long, ProgressiveMetrics>? Window { get; init; }

    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    public PreparationReport Run(CancellationToken cancellation)
    {
        var watch = Stopwatch.StartNew();
        var range = PreparationRange.Of(reader, teacher.Config.PreparationImpressions);
        var batch = teacher.NewBatch();
        var impressions = new List<Impression>();
        var metrics = new ProgressiveMetrics(teacher.Config.HardLabel.LogQCorrection);
        var last = new PreparationReport(0, 0, 0, null, null, null);
        long learned = 0, skipped = 0;
        var startedAt = double.NaN;
        foreach (var impression in reader.Read(DatasetPart.Preparation, range.FromMs))
        {
            cancellation.ThrowIfCancellationRequested();
            impressions.Add(impression);
            if (impressions.Count < teacher.Config.BatchImpressions)
                continue;

            var now = watch.Elapsed.TotalSeconds;
            if (double.IsNaN(startedAt))
                startedAt = now;
            var way = range.ToMs is { } to ? (double)(impression.EventTimeMs - range.FromMs) / Math.Max(1, to - range.FromMs) : now / budgetSeconds;
            if (now >= budgetSeconds)
            {
                skipped += impressions.Count;
                break;
            }
            // Too slow to arrive in time: thin out rather than miss the newest part.
            if (range.ToMs is not null && now - startedAt > WarmUpSeconds && (1 - way) * (now - startedAt) > way * (budgetSeconds - now))
            {
                skipped += impressions.Count;
                impressions.Clear();
                continue;
            }

            Learn(batch, impressions, metrics);
            learned += impressions.Count;
            impressions.Clear();
            Progress?.Invoke(way, learned, metrics);
            if (metrics.Impressions >= WindowImpressions)
            {
                last = Report();
                Window?.Invoke(learned, metrics);
                metrics.Clear();
            }
        }
        if (impressions.Count > 0 && watch.Elapsed.TotalSeconds < budgetSeconds)
        {
            Learn(batch, impressions, metrics);
            learned += impressions.Count;
        }
        // A short rest says less than the last whole window.
        if (last.Gauc is null || metrics.Impressions * 2 >= WindowImpressions)
            last = Report();
        return last with { Impressions = learned, Skipped = skipped, Seconds = watch.Elapsed.TotalSeconds };

        PreparationReport Report() => new(learned, skipped, watch.Elapsed.TotalSeconds, metrics.Auc, metrics.Gauc, metrics.LogLoss);
    }

    private void Learn(FeatureBatch batch, List<Impression> impressions, ProgressiveMetrics metrics)
    {
        batch.Clear();
        foreach (var impression in impressions)
            batch.Add(impression.ToTeacherRecord("", 0, teacher.Schema.Fingerprint));
        using var scored = teacher.Score(batch);
        for (var i = 0; i < impressions.Count; i++)
            metrics.Add(scored.Logits(i, 0), impressions[i].LabelStates(teacher.Schema.Targets[0]), impressions[i].SamplingLogQ);
        scored.Learn();
    }
}
