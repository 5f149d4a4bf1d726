using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Training;

/// <summary>How a replay came out.</summary>
/// <param name="Difference">The first thing that differs from the version in the repository; null: nothing does.</param>
public sealed record ReplayResult(string Folder, long FromCheckpoint, int Batches, long Entries, string? Difference);

/// <summary>Rebuilds a version from its lineage: the newest checkpoint before it, then what was applied since, as it lies beside the later checkpoints.</summary>
public sealed class Replay(Trainer trainer, Checkpointing checkpointing, IReadOnlyList<LogitStreamReader> sources, PublishedWeights weights,
    ModelRepository repository, string model)
{
    private (VersionDraft Draft, FrozenStudent Candidate, VersionPlan Plan)? drafted;
    private int batches;
    private long entries;

    /// <summary>Rebuilds a version into an empty folder and compares it with the one in the repository.</summary>
    /// <exception cref="ContractException">What it needs is not kept any more, or the configuration is another one; says what.</exception>
    public ReplayResult Run(long version, string folder)
    {
        var original = repository.Manifest(model, version);
        var lineage = original.Lineage ?? throw new ContractException("version", $"{version} has no lineage: it was published by an earlier release");
        if (lineage.Configuration != trainer.Configuration)
            throw new ContractException("config", $"is another one than version {version} was trained with; give --config, --schema and --student as they were then");
        var (start, steps) = Find(lineage);
        checkpointing.Restore(start, trainer);
        trainer.Cohort.Published.Restore(start.Manifest, weights, repository, model);
        foreach (var step in steps)
        {
            if (step.Sequence != lineage.JournalSequence)
            {
                Apply(step);
                continue;
            }
            var (draft, candidate) = trainer.Draft(step.Entry.Draft!);
            using (draft)
            using (candidate)
            {
                trainer.Writer.Hold(draft);
                var again = trainer.Writer.WriteTo(folder, draft, step.Entry.Draft!);
                File.WriteAllBytes(Path.Combine(folder, VersionManifest.FileName), again.ToBytes());
                return new(folder, start.Number, batches, entries, VersionWriter.Difference(original, again));
            }
        }
        throw new ContractException("state", $"the decision on version {version} is not beside any checkpoint");
    }

    private (StoredCheckpoint Start, IReadOnlyList<AppliedDecision> Steps) Find(VersionLineage lineage)
    {
        var later = new List<string>();
        foreach (var found in checkpointing.Candidates(DistillerLog.Warn))
        {
            if (found.Manifest.Life != lineage.Life)
                continue;
            if (found.Manifest.JournalSequence >= lineage.JournalSequence)
            {
                later.Add(found.Path);
                continue;
            }
            var steps = later.AsEnumerable().Reverse().SelectMany(p => History.Read(Path.Combine(p, History.FileName), sources))
                .Where(s => s.Sequence > found.Manifest.JournalSequence && s.Sequence <= lineage.JournalSequence).ToList();
            if (steps.Count == lineage.JournalSequence - found.Manifest.JournalSequence)
                return (found, steps);
            throw new ContractException("state", $"of {lineage.JournalSequence - found.Manifest.JournalSequence} decisions between checkpoint {found.Number} and the version "
                + $"{steps.Count} are kept{(later.Count == 0 ? "; the rest comes with the next checkpoint" : "")}");
        }
        throw new ContractException("state", "holds no checkpoint from before the version; keep more with checkpoint.lineage_mb");
    }

    private void Apply(AppliedDecision step)
    {
        var entry = step.Entry;
        if (entry.Batch is not null)
        {
            trainer.Learn(step.Entries);
            batches++;
            entries += step.Entries.Count;
        }
        if (entry.Live is { } live)
            trainer.SetLive(live);
        if (entry.Draft is { } plan)
        {
            var (draft, candidate) = trainer.Draft(plan);
            drafted = (draft, candidate, plan);
        }
        if (entry.Outcome is { } outcome && drafted is var (ended, student, planned))
        {
            if (outcome.End == DraftEnd.Published)
            {
                trainer.Writer.Adopt(planned);
                trainer.Cohort.Published.Add(student);
            }
            else
            {
                trainer.Writer.Hold(ended);
                student.Dispose();
            }
            ended.Dispose();
            drafted = null;
            trainer.Cohort.Published.Prune();
        }
    }
}
