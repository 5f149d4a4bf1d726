using System.Diagnostics;
using KdServing.Contracts;
using KdServing.Distiller.Training;
using KdServing.LoadTests.Data;
using StackExchange.Redis;
using static KdServing.LoadTests.Teaching.PhaseClock;

namespace KdServing.LoadTests.Teaching;

/// <summary>Where and how fast a replay is streamed.</summary>
public sealed record TeacherStreamOptions
{
    public required string Model { get; init; }

    /// <summary>Impressions a second; null: 70 % of what the slower end can do, see <see cref="Pace"/>.</summary>
    public double? Rate { get; init; }

    /// <summary>Status file of the Distiller to keep pace with.</summary>
    public string? PaceBy { get; init; }

    public string? ProducedLog { get; init; }

    /// <summary>Where the position is kept, and beside it the weights; null: a restart begins anew.</summary>
    public string? PositionFile { get; init; }

    /// <summary>Streaming time, over all runs of a replay; null: to the end of the data.</summary>
    public double? Seconds { get; init; }

    /// <summary>Streaming time between two saves of the weights.</summary>
    public double SaveSeconds { get; init; } = 15;
}

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
    private readonly LogitStreamWriter writer;
    private readonly ProducedLogFile log;
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
        writer = new(redis, options.Model, ProducerId, teacher.Schema);
        log = new(options.ProducedLog);
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

    public void Dispose() => log.Dispose();

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

        var written = Task.Run(() => WriteAsync(records, cancellation), CancellationToken.None);
        scored.Learn();
        batches++;
        phases.Spent(Phase.Learn);
        Await(written);
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

    private async Task WriteAsync(List<TeacherRecord> records, CancellationToken cancellation)
    {
        foreach (var record in records)
        {
            log.Add(await writer.WriteAsync(record, cancellation));
            position = position.After(record);
        }
        log.Flush();
    }

    /// <summary>Waits for the writes, and says why when it takes long.</summary>
    private void Await(Task written)
    {
        var (retries, waits, said) = (writer.Retries, writer.Waits, false);
        try
        {
            while (!written.Wait(TimeSpan.FromSeconds(2)))
            {
                if (!said && writer.Retries > retries)
                    Console.Error.WriteLine("kd teach: Redis does not answer; waiting for it, nothing is lost");
                else if (!said && writer.Waits > waits)
                    Console.Error.WriteLine("kd teach: the stream is full; waiting for the Distiller");
                said |= writer.Retries > retries || writer.Waits > waits;
                report.Current = report.Current with { Retries = writer.Retries, Waits = writer.Waits, RecordsPerSecond = 0 };
            }
            if (said)
                Console.Error.WriteLine("kd teach: streaming again");
        }
        catch (AggregateException e)
        {
            log.Flush();
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerException!);
        }
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
            Retries = writer.Retries,
            Waits = writer.Waits,
        };
    }
}
