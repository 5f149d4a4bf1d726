using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Evaluation;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Takes checkpoints beside the training: the training thread only forks tables and copies the dense part.</summary>
/// <remarks>One write at a time; a disk that refuses is reported and tried again, and until then nothing counts as acknowledged.</remarks>
public sealed class Checkpointing(CheckpointStore store, FeatureSchema schema, string model, string streamKey)
{
    private const string StudentFile = "student.safetensors";
    private const string LabelsOnlyFile = "labels_only.safetensors";
    private const string EvaluationFile = "evaluation.bin";
    private const string GateSetFile = "gate_set.bin";

    private Task<Saved?>? saving;

    /// <summary>What the newest durable checkpoint covers.</summary>
    public sealed record Saved(StreamId Position, StreamCounters Counters);

    public bool IsBusy => saving is { IsCompleted: false };

    /// <summary>Starts writing the state of now. Call between two steps, when not busy.</summary>
    public void Begin(Learner student, Learner? labelsOnly, StreamProgress progress, ProgressiveEvaluation evaluation, GateSet gateSet,
        long frozenVersion)
    {
        var states = new List<(string File, LearnerState State)> { (StudentFile, new(student)) };
        if (labelsOnly is not null)
            states.Add((LabelsOnlyFile, new(labelsOnly)));
        var evaluated = evaluation.Save();
        var heldOut = gateSet.Records.ToArray();
        var saved = new Saved(progress.Position, progress.Counters);
        var manifest = new CheckpointManifest
        {
            Format = CheckpointManifest.CurrentFormat,
            Model = model,
            SchemaFingerprint = schema.Fingerprint.ToString("x16", null),
            CreatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Position = new Dictionary<string, string> { [streamKey] = progress.Position.ToString() },
            Producers = progress.Sequences.Producers.ToDictionary(),
            Missing = progress.Sequences.Missing,
            Repeats = progress.Sequences.Repeats,
            Counters = progress.Counters,
            TeacherVersions = progress.TeacherVersions.ToDictionary(),
            FrozenVersion = frozenVersion,
            Files = new Dictionary<string, VersionFile>(),
        };
        saving = Task.Run(() => Save(states, evaluated, heldOut, manifest, saved));
    }

    /// <summary>The checkpoint that became durable since the last call; null when none did.</summary>
    public Saved? TakeSaved()
    {
        if (saving is not { IsCompleted: true })
            return null;
        var saved = saving.Result;
        saving = null;
        return saved;
    }

    /// <summary>Waits for the write in progress.</summary>
    public Task FinishAsync() => saving ?? Task.CompletedTask;

    /// <summary>Puts everything back to the newest good checkpoint; null when there is none.</summary>
    /// <exception cref="ContractException">The checkpoint belongs to another model, schema or student.</exception>
    public CheckpointManifest? Restore(Learner student, Learner? labelsOnly, StreamProgress progress, ProgressiveEvaluation evaluation, GateSet gateSet)
    {
        if (store.Newest(DistillerLog.Warn) is not var (path, manifest))
            return null;
        if (manifest.Model != model)
            throw new ContractException("state", $"folder holds checkpoints of model '{manifest.Model}', not '{model}'; give --state another folder");
        if (manifest.SchemaFingerprint != schema.Fingerprint.ToString("x16", null))
        {
            throw new ContractException("state", $"checkpoints were trained with another schema ({manifest.SchemaFingerprint}, this one is "
                + $"{schema.Fingerprint:x16}); give --state an empty folder to begin anew, or the old schema.json back");
        }
        try
        {
            Restore(Path.Combine(path, StudentFile), student);
            if (labelsOnly is not null)
                Restore(Path.Combine(path, LabelsOnlyFile), labelsOnly);
        }
        catch (ContractException e)
        {
            throw new ContractException("state", $"checkpoint does not fit student.json ({e.Message}); give --state an empty folder to begin anew");
        }
        progress.Restore(manifest, streamKey);
        try
        {
            evaluation.Restore(File.ReadAllBytes(Path.Combine(path, EvaluationFile)));
            using var heldOut = File.OpenRead(Path.Combine(path, GateSetFile));
            gateSet.Restore(heldOut);
        }
        catch (Exception e) when (e is InvalidDataException or InvalidProtocolBufferException)
        {
            DistillerLog.Warn($"metrics and gate set begin anew: {e.Message}");
        }
        return manifest;
    }

    private static void Restore(string path, Learner learner)
    {
        if (!File.Exists(path))
            throw new ContractException(Path.GetFileName(path), "is missing");
        using var file = new SafetensorsFile(path);
        LearnerState.Restore(file, learner);
    }

    private Saved? Save(List<(string File, LearnerState State)> states, byte[] evaluated, TeacherRecord[] heldOut, CheckpointManifest manifest, Saved saved)
    {
        try
        {
            var files = states.ToDictionary(s => s.File, s => (Action<Stream>)s.State.Write);
            files[EvaluationFile] = stream => stream.Write(evaluated);
            files[GateSetFile] = stream => GateSet.Save(heldOut, stream);
            store.Save(files, written => manifest with { Files = written });
            return saved;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DistillerLog.Error($"checkpoint not written: {e.Message}; training goes on, nothing is acknowledged, next try follows");
            return null;
        }
        finally
        {
            foreach (var (_, state) in states)
                state.Dispose();
        }
    }
}
