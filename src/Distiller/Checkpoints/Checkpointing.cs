using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Takes checkpoints beside the training: the training thread only forks tables and copies the dense part.</summary>
/// <remarks>
/// One write at a time; a disk that refuses is reported and tried again, and until then nothing counts as acknowledged. Most
/// checkpoints hold only the rows that changed since the one before; one in so many, the first of a process and the last of a clean
/// stop hold everything.
/// </remarks>
public sealed class Checkpointing(CheckpointStore store, CheckpointConfig config, FeatureSchema schema, string model)
{
    public const string StudentFile = "student.safetensors";
    public const string StudentRowsFile = "student.rows";
    public const string CalibrationFile = "teacher_calibration.bin";
    private const string LabelsOnlyFile = "labels_only.safetensors";
    private const string LabelsOnlyRowsFile = "labels_only.rows";
    private const string EvaluationFile = "evaluation.bin";
    private const string GateSetFile = "gate_set.bin";
    private const string RecentFile = "recent.bin";
    private const string JoinsFile = "joins.bin";
    private const string UnpublishedFile = "unpublished.bin";

    // An increment is applied row by row and the chain is read whole: with this share of all rows it saves nothing.
    private const double MaxChangedShare = 0.5;

    private Task<Saved?>? saving;
    private long previous;
    private int sinceFull;

    /// <summary>What a durable checkpoint covers.</summary>
    /// <param name="WeightsSha256">Of the student's whole state; null when the checkpoint does not hold it whole.</param>
    public sealed record Saved(IReadOnlyDictionary<string, StreamId> Positions, long JournalSequence, StreamCounters Counters, CheckpointKind Kind, string? WeightsSha256);

    public bool IsBusy => saving is { IsCompleted: false };

    /// <summary>There is a checkpoint, whole or not.</summary>
    public bool Any => store.Any;

    /// <summary>Of the newest checkpoint that can be read; 0: none.</summary>
    public long NewestEpoch => store.Newest?.Epoch ?? 0;

    /// <summary>Starts writing the state of now. Call between two steps, when no draft is in the making and none is being written.</summary>
    /// <param name="whole">Everything, whatever changed.</param>
    public void Begin(Trainer trainer, Journal journal, long epoch, bool whole)
    {
        var (student, twin) = (trainer.Changes.TakeForCheckpoint(), trainer.LabelsOnlyChanges?.TakeForCheckpoint());
        var changed = student.Sum(r => (long)r.Length);
        var total = trainer.Changes.Tables.Sum(t => (long)t.Rows);
        var kind = whole || previous == 0 || sinceFull >= config.FullEvery || changed > MaxChangedShare * total ? CheckpointKind.Full : CheckpointKind.Incremental;
        var files = new Dictionary<string, Action<Stream>>();
        var states = new List<LearnerState>();
        Add(trainer.Cohort.Student, StudentFile, StudentRowsFile, student);
        if (trainer.Cohort.LabelsOnly is { } labelsOnly)
            Add(labelsOnly, LabelsOnlyFile, LabelsOnlyRowsFile, twin!);
        var (evaluated, calibrated) = (trainer.Cohort.Evaluation.Save(), trainer.Cohort.Calibration.Save());
        files[EvaluationFile] = stream => stream.Write(evaluated);
        files[CalibrationFile] = stream => stream.Write(calibrated);
        var (heldOut, recent, unpublished) = (trainer.GateSet.Records.ToArray(), trainer.Recent.ToArray(), trainer.Unpublished());
        files[GateSetFile] = stream => GateSet.Save(heldOut, stream);
        files[RecentFile] = stream => GateSet.Save(recent, stream);
        if (trainer.Joins is { } joins)
            files[JoinsFile] = joins.Save();
        files[History.FileName] = trainer.History.Take();
        files[UnpublishedFile] = stream => RowNumbers.Write(stream, unpublished);
        var saved = new Saved(trainer.Progress.Positions.ToDictionary(), journal.Sequence, trainer.Progress.Counters, kind, null);
        var manifest = Describe(trainer, journal, epoch, kind);
        saving = Task.Run(() => Save(files, states, manifest, saved));

        void Add(Learner learner, string denseFile, string rowsFile, IReadOnlyList<int[]> rows)
        {
            var state = new LearnerState(learner);
            states.Add(state);
            files[denseFile] = kind == CheckpointKind.Full ? state.Write : state.WriteDense;
            if (kind == CheckpointKind.Incremental)
                files[rowsFile] = stream => state.WriteRows(stream, rows);
        }
    }

    /// <summary>Writes, at once, that a history begins with the weights of the seed. A disk that refuses is reported and no more.</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model, and written checkpoints.</exception>
    public void SaveInitial(Trainer trainer, Journal journal, long epoch)
    {
        try
        {
            store.Save(new Dictionary<string, Action<Stream>>(), files => Describe(trainer, journal, epoch, CheckpointKind.Initial) with { Files = files });
        }
        catch (StaleEpochException e)
        {
            throw new OwnershipLostException(e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DistillerLog.Error($"first checkpoint not written: {e.Message}; training begins, nothing is acknowledged, next try follows");
        }
    }

    /// <summary>The checkpoint that became durable since the last call; null when none did.</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model, and written checkpoints.</exception>
    public Saved? TakeSaved()
    {
        if (saving is not { IsCompleted: true })
            return null;
        var saved = saving.GetAwaiter().GetResult();
        saving = null;
        return saved;
    }

    /// <summary>Waits for the write in progress.</summary>
    public Task FinishAsync() => saving ?? Task.CompletedTask;

    /// <summary>Checkpoints that are whole and belong to this model, newest first.</summary>
    /// <exception cref="ContractException">A checkpoint belongs to another model or schema.</exception>
    public IEnumerable<StoredCheckpoint> Candidates(Action<string> report) => store.Whole(report).Select(found =>
    {
        var manifest = found.Manifest;
        if (manifest.Model != model)
            throw new ContractException("state", $"folder holds checkpoints of model '{manifest.Model}', not '{model}'; give --state another folder");
        if (manifest.SchemaFingerprint != schema.Fingerprint.ToString("x16", null))
        {
            throw new ContractException("state", $"checkpoints were trained with another schema ({manifest.SchemaFingerprint}, this one is "
                + $"{schema.Fingerprint:x16}); give --state an empty folder to begin anew, or the old schema.json back");
        }
        return found;
    });

    /// <summary>Puts a trainer that has learned nothing yet back to a checkpoint; the next one is a full one.</summary>
    /// <exception cref="ContractException">The checkpoint belongs to another student.</exception>
    public void Restore(StoredCheckpoint found, Trainer trainer)
    {
        var manifest = found.Manifest;
        if (manifest.Kind != CheckpointKind.Initial)
        {
            try
            {
                LearnerState.Restore([.. found.Chain.Select(p => (Path.Combine(p, StudentFile), Path.Combine(p, StudentRowsFile)))], trainer.Cohort.Student);
                if (trainer.Cohort.LabelsOnly is { } labelsOnly)
                    LearnerState.Restore([.. found.Chain.Select(p => (Path.Combine(p, LabelsOnlyFile), Path.Combine(p, LabelsOnlyRowsFile)))], labelsOnly);
            }
            catch (Exception e) when (e is ContractException or FileNotFoundException)
            {
                throw new ContractException("state", $"checkpoint does not fit student.json ({e.Message}); give --state an empty folder to begin anew");
            }
            // Not there in a checkpoint of an earlier release: the next version seen is the reference.
            if (Path.Combine(found.Path, CalibrationFile) is var calibrated && File.Exists(calibrated))
                trainer.Cohort.Calibration.Restore(File.ReadAllBytes(calibrated));
            RestoreRecords(found.Path, trainer);
        }
        trainer.RestoreChanges();
        var unpublished = Path.Combine(found.Path, UnpublishedFile);
        trainer.Writer.Restore(manifest.Publication, File.Exists(unpublished) ? RowNumbers.Read(unpublished) : []);
        trainer.Progress.Restore(manifest);
        (previous, sinceFull) = (0, 0);
    }

    /// <summary>Training goes on from a checkpoint; those newer than it are put aside.</summary>
    /// <param name="epoch">Of the owner that goes on.</param>
    public void Continue(StoredCheckpoint found, long epoch) => store.SetAsideAfter(found.Number, epoch);

    private static void RestoreRecords(string path, Trainer trainer)
    {
        try
        {
            trainer.Cohort.Evaluation.Restore(File.ReadAllBytes(Path.Combine(path, EvaluationFile)));
            using var heldOut = File.OpenRead(Path.Combine(path, GateSetFile));
            trainer.GateSet.Restore(heldOut);
            using var recent = File.OpenRead(Path.Combine(path, RecentFile));
            while (recent.Position < recent.Length)
                trainer.Remember(TeacherRecord.Parser.ParseDelimitedFrom(recent));
            if (trainer.Joins is not null && File.Exists(Path.Combine(path, JoinsFile)))
            {
                using var joins = File.OpenRead(Path.Combine(path, JoinsFile));
                trainer.Joins.Restore(joins);
            }
        }
        catch (Exception e) when (e is InvalidDataException or InvalidProtocolBufferException)
        {
            DistillerLog.Warn($"metrics and gate set begin anew: {e.Message}");
        }
    }

    private CheckpointManifest Describe(Trainer trainer, Journal journal, long epoch, CheckpointKind kind) => new()
    {
        Format = CheckpointManifest.CurrentFormat,
        Model = model,
        SchemaFingerprint = schema.Fingerprint.ToString("x16", null),
        CreatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
        Kind = kind,
        Previous = kind == CheckpointKind.Incremental ? previous : 0,
        Epoch = epoch,
        Life = journal.Life,
        JournalSequence = journal.Sequence,
        Batches = trainer.Progress.Batches,
        Configuration = trainer.Configuration,
        Streams = trainer.Progress.Save(),
        Counters = trainer.Progress.Counters,
        TeacherVersions = new SortedDictionary<string, long>(trainer.Progress.TeacherVersions.ToDictionary(), StringComparer.Ordinal),
        Publication = trainer.Writer.State,
        LiveVersion = trainer.Cohort.Published.Live?.Version ?? 0,
        FrozenVersion = trainer.Cohort.Published.Frozen?.Version ?? 0,
        Files = new Dictionary<string, VersionFile>(),
    };

    private Saved? Save(Dictionary<string, Action<Stream>> files, List<LearnerState> states, CheckpointManifest manifest, Saved saved)
    {
        try
        {
            string? weights = null;
            previous = store.Save(files, written =>
            {
                weights = manifest.Kind == CheckpointKind.Full ? written[StudentFile].Sha256 : null;
                return manifest with { Files = written };
            }, config.LineageMb << 20);
            sinceFull = manifest.Kind == CheckpointKind.Full ? 1 : sinceFull + 1;
            return saved with { WeightsSha256 = weights };
        }
        catch (StaleEpochException e)
        {
            throw new OwnershipLostException(e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What changed up to here was taken from the trainer: the next one must hold everything.
            previous = 0;
            DistillerLog.Error($"checkpoint not written: {e.Message}; training goes on, nothing is acknowledged, next try follows");
            return null;
        }
        finally
        {
            foreach (var state in states)
                state.Dispose();
        }
    }
}
