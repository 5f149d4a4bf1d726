using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Training;

/// <summary>Gathers what <see cref="DistillerStatus"/> says. One thread.</summary>
/// <param name="file">Null: no status is written.</param>
public sealed class StatusReport(string? file, Trainer trainer, LoopMeter meter, Backlog backlog, ModelOwner owner, Recovery recovery)
{
    private readonly LiveFidelity fidelity = new();
    private string? weightsSha256;
    private long heldByGate;

    /// <summary>What the newest durable checkpoint covers.</summary>
    public StreamCounters Acknowledged { get; set; } = new();

    public long VersionsPublished { get; private set; }

    /// <summary>As of the last <see cref="Write"/>; null while it is not known.</summary>
    public (long Version, double Overlap)? Fidelity { get; private set; }

    public void Acknowledge(Checkpointing.Saved saved)
    {
        Acknowledged = saved.Counters;
        weightsSha256 = saved.WeightsSha256 ?? weightsSha256;
    }

    public void Note(DraftEnd end)
    {
        VersionsPublished += end == DraftEnd.Published ? 1 : 0;
        heldByGate += end == DraftEnd.Held ? 1 : 0;
    }

    public void Write(string phase)
    {
        meter.BeginStatus();
        var (progress, cohort) = (trainer.Progress, trainer.Cohort);
        var evaluated = cohort.Evaluation.Snapshot();
        Fidelity = fidelity.Note(cohort.Published.Live?.Version, evaluated.Scorers.GetValueOrDefault("student"));
        if (file is null)
            return;
        new DistillerStatus
        {
            UpdatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Phase = phase,
            Consumed = progress.Counters.Consumed,
            HeldOut = progress.Counters.HeldOut,
            DeadLettered = progress.Counters.DeadLettered,
            Acked = Acknowledged.Consumed + Acknowledged.DeadLettered,
            Missing = progress.Missing,
            Repeats = progress.Repeats,
            Lost = progress.Counters.Lost,
            LagRecords = backlog.Records,
            MaxLagRecords = backlog.RecordsMax,
            TrainingLoss = meter.Loss,
            RecordsPerSecond = meter.RecordsPerSecond,
            RecordsPerBusySecond = meter.RecordsPerBusySecond,
            VersionsPublished = VersionsPublished,
            HeldByGate = heldByGate,
            NewestVersion = cohort.Published.Newest?.Version,
            LiveVersion = cohort.Published.Live?.Version,
            WatermarkMs = progress.WatermarkMs,
            Position = progress.PositionVector,
            Labels = trainer.Joins?.Counters,
            Epoch = owner.Epoch,
            Batches = progress.Batches,
            Replayed = recovery.Replayed,
            WeightsSha256 = weightsSha256,
            Parameters = cohort.Student.ParameterCount,
            RssMb = Environment.WorkingSet / 1e6,
            PhaseSeconds = meter.Phases(cohort.Student.Phases, cohort.LabelsOnly?.Phases),
            Scorers = evaluated.Scorers,
            GaucDifference95 = evaluated.GaucDifference95,
            TransferRatio = evaluated.TransferRatio,
            TeacherVersions = progress.TeacherVersions.ToDictionary(),
            TeacherCalibration = cohort.Calibration.Report(),
            ByTeacherVersion = evaluated.ByTeacherVersion,
        }.Write(file);
    }
}
