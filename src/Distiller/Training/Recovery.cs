using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Training;

/// <summary>Brings a trainer to where its model was: the newest whole checkpoint, then the journal's decisions, taken again.</summary>
public sealed class Recovery(Trainer trainer, Checkpointing checkpointing, Journal journal, ModelOwner owner, LogitStream stream, VersionPublisher publisher,
    PublishedWeights weights, ModelRepository repository, string model, string stateFolder, bool acceptLoss)
{
    /// <summary>Entries that were replayed.</summary>
    public long Replayed { get; private set; }

    /// <summary>The newest fencing epoch that state folder and repository know of; 0: none.</summary>
    public long NewestEpoch => Math.Max(checkpointing.NewestEpoch, repository.Versions(model).Reverse().Select(v => repository.TryManifest(model, v)?.Epoch ?? 0).FirstOrDefault());

    /// <summary>Runs it. Afterwards the streams are to be read from the trainer's positions.</summary>
    /// <exception cref="ContractException">The state can not be continued; says why and what to do.</exception>
    public async Task RunAsync(CancellationToken stop)
    {
        var refused = new List<string>();
        foreach (var found in checkpointing.Candidates(Refuse))
        {
            var tail = await TailAsync(found.Manifest, stop);
            if (await ObstacleAsync(found.Manifest, tail, stop) is { } obstacle)
            {
                Refuse($"checkpoint {found.Path} can not be continued: {obstacle}");
                if (!acceptLoss)
                    continue;
                DistillerLog.Error("continuing all the same, as --accept-loss says");
            }
            if (refused.Count > 0)
                DistillerLog.Error($"continuing from the older checkpoint {found.Path}; what came after it is learned again from the streams");
            checkpointing.Continue(found, owner.Epoch);
            await ContinueAsync(found, tail, stop);
            return;
        }
        if (checkpointing.Any)
        {
            throw new ContractException("state", $"no checkpoint in {stateFolder} can be continued: {string.Join("; ", refused)}. Put the folder back from a backup; "
                + "or go on from the newest whole one without what is gone (--accept-loss); or give --state an empty folder to begin anew");
        }
        await BeginAsync("a new model", stop);
        DistillerLog.Info($"no checkpoint in {stateFolder}: model '{model}' begins, {trainer.Cohort.Student.ParameterCount:N0} parameters");
        checkpointing.SaveInitial(trainer, journal, owner.Epoch);

        void Refuse(string reason)
        {
            refused.Add(reason);
            DistillerLog.Error(reason);
        }
    }

    private async Task<IReadOnlyList<(long Sequence, JournalEntry Entry)>> TailAsync(CheckpointManifest manifest, CancellationToken stop) =>
        await journal.ReadAsync(manifest.JournalSequence, stop);

    // Why a checkpoint can not be continued from without loss; null when it can. What is trimmed is trimmed from the front.
    private async Task<string?> ObstacleAsync(CheckpointManifest manifest, IReadOnlyList<(long Sequence, JournalEntry Entry)> tail, CancellationToken stop)
    {
        if (tail.Count == 0)
            return null;
        if (tail[0].Sequence != manifest.JournalSequence + 1)
            return $"the journal begins at entry {tail[0].Sequence}, {manifest.JournalSequence + 1} is gone";
        var seen = new HashSet<string>();
        foreach (var (sequence, entry) in tail)
        {
            foreach (var (key, range) in entry.Batch?.Sources ?? new Dictionary<string, StreamRange>())
            {
                if (!seen.Add(key))
                    continue;
                var held = 0;
                await stream.InsistAsync(async () => held = (await Source(key).ReadRangeAsync(StreamId.Parse(range.After), StreamId.Parse(range.Last))).Count, stop);
                if (held != range.Count)
                    return $"stream {key} holds {held} of the {range.Count} entries of journal entry {sequence}";
            }
        }
        return null;
    }

    private async Task ContinueAsync(StoredCheckpoint found, IReadOnlyList<(long Sequence, JournalEntry Entry)> tail, CancellationToken stop)
    {
        var manifest = found.Manifest;
        checkpointing.Restore(found, trainer);
        (journal.Life, journal.Sequence) = (manifest.Life, manifest.JournalSequence);
        trainer.Cohort.Published.Restore(manifest, weights, repository, model);
        DistillerLog.Info($"continuing from checkpoint {found.Number}: {manifest.Batches} batches, {manifest.Counters.Learned} records learned");
        var broken = manifest.Configuration != trainer.Configuration
            ? "the configuration is another one: what came after the checkpoint is learned under the new one"
            : await FollowAsync(tail, stop);
        if (broken is not null)
        {
            DistillerLog.Warn($"the journal is not followed any further: {broken}");
            await publisher.FinishAsync();
            if (publisher.TakeResult() is { Published: { } published })
                published.Dispose();
            await BeginAsync(broken, stop);
        }
    }

    // Takes the journal's decisions again; returns why it can not go on, null at its end.
    private async Task<string?> FollowAsync(IReadOnlyList<(long Sequence, JournalEntry Entry)> tail, CancellationToken stop)
    {
        for (var i = 0; i < tail.Count; i++)
        {
            var (sequence, entry) = tail[i];
            if (sequence != journal.Sequence + 1)
                return $"entries {journal.Sequence + 1} to {sequence - 1} are missing: Redis lost them";
            if (entry.Life != journal.Life)
                return $"entry {sequence} is of another history";
            IReadOnlyList<SourcedEntry> entries = [];
            if (entry.Batch is { } batch)
            {
                (entries, var missing) = await ReadAgainAsync(batch, stop);
                if (missing is not null)
                    return missing;
                trainer.Learn(entries);
            }
            if (entry.Draft is { } plan)
                publisher.Begin(trainer, plan, tail.Skip(i + 1).Select(t => t.Entry.Outcome).FirstOrDefault(o => o is not null), stop);
            if (entry.Outcome is { } outcome)
                await EndDraftAsync(outcome);
            if (entry.Live is { } live)
                trainer.SetLive(live);
            journal.Sequence = sequence;
            trainer.History.Add(sequence, entry, entries);
            Replayed++;
        }
        if (tail.Count > 0)
            DistillerLog.Info($"{tail.Count} journal entries followed: {trainer.Progress.Batches} batches, {trainer.Progress.Counters.Learned} records learned");
        return null;
    }

    private async Task<(IReadOnlyList<SourcedEntry> Entries, string? Missing)> ReadAgainAsync(BatchCut batch, CancellationToken stop)
    {
        var entries = new List<SourcedEntry>();
        foreach (var (key, range) in batch.Sources)
        {
            IReadOnlyList<LogitStreamEntry> read = [];
            await stream.InsistAsync(async () => read = await Source(key).ReadRangeAsync(StreamId.Parse(range.After), StreamId.Parse(range.Last)), stop);
            if (read.Count != range.Count)
            {
                trainer.Progress.Counters = trainer.Progress.Counters with { Lost = trainer.Progress.Counters.Lost + range.Count - read.Count };
                return ([], $"stream {key} holds {read.Count} of the {range.Count} entries of batch {batch.Number}");
            }
            var source = SourceIndex(key);
            entries.AddRange(read.Select(e => new SourcedEntry(source, e)));
        }
        // As the streams were merged when the batch was cut.
        return ([.. entries.OrderBy(e => e.Entry.Id).ThenBy(e => e.Source)], null);
    }

    private async Task EndDraftAsync(DraftOutcome outcome)
    {
        await publisher.FinishAsync();
        if (publisher.TakeResult() is not { } result)
            return;
        if (result.Outcome != outcome)
            DistillerLog.Error($"version {outcome.Version} ended as {outcome.End}, again as {result.Outcome.End}; the first counts");
        if (result.Published is { } published)
            trainer.Cohort.Published.Add(published);
    }

    // A history of its own from here on: nothing before it is followed, its first version is a base after all there are.
    private async Task BeginAsync(string reason, CancellationToken stop)
    {
        journal.Life = Guid.NewGuid().ToString("n");
        journal.Sequence = Math.Max(journal.Sequence, await journal.NewestAsync(stop));
        var newest = Math.Max(trainer.Writer.State.NewestVersion, repository.Versions(model).LastOrDefault());
        trainer.Writer.Rebase(newest);
        await journal.AppendAsync(new() { Epoch = owner.Epoch, Life = journal.Life, Begin = new(reason, newest, trainer.Configuration) }, [], stop);
    }

    private LogitStreamReader Source(string key) => stream.Sources[SourceIndex(key)];

    private int SourceIndex(string key)
    {
        for (var s = 0; s < stream.Sources.Count; s++)
        {
            if (stream.Sources[s].StreamKey == key)
                return s;
        }
        throw new ContractException("shards", $"the journal names stream {key}, which this configuration does not read; put \"shards\" and \"labels\" back, stop the Distiller cleanly, then change them");
    }
}
