using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Distiller.Teachers;
using KdServing.Distiller.Training;
using StackExchange.Redis;
using static KdServing.LoadTests.Teaching.PhaseClock;

namespace KdServing.LoadTests.Teaching;

/// <summary>Replays impressions in event order through a teacher that goes on learning: scores a batch, streams it, learns it.</summary>
/// <remarks>
/// A batch is scored whole before any of it is learned, so no logit knows its own label or a later one. Writing overlaps with
/// learning; the next batch is scored when both are done. One replay an instance; <see cref="Run"/> is called once.
/// </remarks>
public sealed class TeacherStream : IDisposable
{
    private readonly DatasetReader reader;
    private readonly Teacher teacher;
    private readonly TeacherStreamOptions options;
    private readonly StatusReport report;
    private readonly RecordOutput output;
    private readonly FeatureBatch batch;
    private readonly List<Impression> impressions = [];
    private readonly PhaseClock phases = new();
    private readonly RateControl rate;
    private readonly long firstVersion;
    private ReplayPosition position;
    private double savedAtSeconds;
    private long reportedAt;
    private long batches;

    /// <param name="position">Where to begin: the start, or where a killed teacher was.</param>
    public TeacherStream(DatasetReader reader, Teacher teacher, IDatabase redis, TeacherStreamOptions options, StatusReport report, ReplayPosition position)
    {
        (this.reader, this.teacher, this.options, this.report, this.position) = (reader, teacher, options, report, position);
        ProducerId = $"{teacher.Config.Name}-{Guid.NewGuid():N}";
        output = new(new(redis, options.Model, ProducerId, teacher.Schema), options.ProducedLog, options.LabelDelaySeconds);
        batch = teacher.NewBatch();
        Metrics = new(teacher.Config.HardLabel.LogQCorrection);
        rate = new(options.Rate, options.PaceBy);
        // Versions go up across a restart too, although the weights may be a few seconds older.
        firstVersion = Math.Max(teacher.Version, position.TeacherVersion + 1);
        savedAtSeconds = position.StreamedSeconds;
    }

    /// <summary>New with every run: its sequence numbers begin at 1.</summary>
    public string ProducerId { get; }

    /// <summary>Of the logits as streamed.</summary>
    public ProgressiveMetrics Metrics { get; }

    public PhaseClock Phases => phases;

    /// <summary>Called on the streaming thread when a batch has been written and learned.</summary>
    public Action? BatchStreamed { get; init; }

    public ReplayPosition Position => position;

    /// <summary>Streams until the time is over, the data ends, or it is cancelled; then everything is written and the position kept.</summary>
    public TeacherPhase Run(CancellationToken cancellation)
    {
        // Starts with the first impression: until then a click log counts up its history.
        var watch = new Stopwatch();
        var before = position.StreamedSeconds;
        var phase = TeacherPhase.Done;
        try
        {
            foreach (var impression in Remaining())
            {
                if (!watch.IsRunning)
                {
                    watch.Start();
                    phases.Restart();
                }
                impressions.Add(impression);
                if (impressions.Count < teacher.Config.BatchImpressions)
                    continue;
                cancellation.ThrowIfCancellationRequested();
                if (options.Seconds is { } limit && before + watch.Elapsed.TotalSeconds >= limit)
                {
                    impressions.Clear();
                    break;
                }
                StreamBatch(before, watch, cancellation);
            }
            if (impressions.Count > 0)
                StreamBatch(before, watch, cancellation);
        }
        catch (OperationCanceledException)
        {
            phase = TeacherPhase.Stopped;
        }
        position = position with { StreamedSeconds = before + watch.Elapsed.TotalSeconds, Finished = phase == TeacherPhase.Done };
        position.Save(options.PositionFile);
        if (phase == TeacherPhase.Stopped)
            SaveWeights();
        reportedAt = 0;
        Report(phase);
        return phase;
    }

    public void Dispose() => output.Dispose();

    /// <summary>Weights saved beside a position.</summary>
    public static string? WeightsFile(string? positionFile) => positionFile is null ? null : positionFile + ".safetensors";

    private IEnumerable<Impression> Remaining()
    {
        var (start, atEventTime) = (position, 0);
        foreach (var impression in reader.Read(DatasetPart.Replay, start.EventTimeMs))
        {
            // Several records may share the millisecond of the last one written.
            if (impression.EventTimeMs == start.EventTimeMs && atEventTime++ < start.AtEventTime)
                continue;
            yield return impression;
        }
    }

    private void StreamBatch(double before, Stopwatch watch, CancellationToken cancellation)
    {
        phases.Spent(Phase.Derive);
        rate.Wait(impressions.Count, cancellation);
        phases.Spent(Phase.Wait);

        teacher.Version = firstVersion + (batches / teacher.Config.BatchesPerVersion);
        var records = impressions.Select(i => i.ToTeacherRecord(ProducerId, 0, teacher.Schema.Fingerprint)).ToList();
        batch.Clear();
        foreach (var record in records)
            batch.Add(record);
        phases.Spent(Phase.Derive);

        using var scored = teacher.Score(batch);
        for (var i = 0; i < records.Count; i++)
            AddOutputs(records[i], scored, i);
        phases.Spent(Phase.Score);

        output.Begin(records, cancellation);
        scored.Learn();
        batches++;
        phases.Spent(Phase.Learn);
        try
        {
            output.End(() => report.Current = report.Current with { RecordsPerSecond = 0, Retries = output.Retries, Waits = output.Waits });
        }
        finally
        {
            // Also those of a batch that was cut short.
            foreach (var record in records.Take(output.Written))
                position = position.After(record);
        }
        phases.Spent(Phase.Write);

        rate.Done(records.Count, phases.BusySeconds);
        impressions.Clear();
        position = position with { StreamedSeconds = before + watch.Elapsed.TotalSeconds };
        if (position.StreamedSeconds - savedAtSeconds >= options.SaveSeconds)
        {
            SaveWeights();
            savedAtSeconds = position.StreamedSeconds;
        }
        position.Save(options.PositionFile);
        Report(TeacherPhase.Streaming);
        BatchStreamed?.Invoke();
    }

    private void AddOutputs(TeacherRecord record, ScoredBatch scored, int i)
    {
        for (var t = 0; t < teacher.Schema.Targets.Count; t++)
        {
            var output = new TeacherOutput { Teacher = teacher.Config.Name, TeacherVersion = teacher.Version, Target = teacher.Schema.Targets[t] };
            var logits = scored.Logits(i, t);
            output.Logits.AddRange(logits);
            record.Outputs.Add(output);
            if (t == 0)
                Metrics.Add(logits, impressions[i].LabelStates(output.Target), impressions[i].SamplingLogQ);
        }
        if (!teacher.Config.StreamPrivileged)
            record.Privileged.Clear();
    }

    private void SaveWeights()
    {
        if (WeightsFile(options.PositionFile) is { } file)
            TeacherCheckpoint.Save(teacher, file);
    }

    private void Report(TeacherPhase phase)
    {
        // The status is written once a second; the pooled AUC walks thousands of bins.
        if (reportedAt != 0 && Stopwatch.GetElapsedTime(reportedAt).TotalSeconds < 0.5)
            return;
        reportedAt = Stopwatch.GetTimestamp();
        report.Current = report.Current with
        {
            Phase = phase,
            Progress = phase == TeacherPhase.Done ? 1 : options.Seconds is { } limit ? Math.Min(1, position.StreamedSeconds / limit) : 0,
            Produced = position.Produced,
            RecordsPerSecond = rate.Measured,
            TargetRate = rate.Target,
            TeacherVersion = teacher.Version,
            EventTimeMs = Math.Max(0, position.EventTimeMs),
            Auc = Metrics.Auc,
            Gauc = Metrics.Gauc,
            Logloss = Metrics.LogLoss,
            BusyShare = phases.BusySeconds / Math.Max(1e-9, phases.TotalSeconds),
            Retries = output.Retries,
            Waits = output.Waits,
        };
    }
}
