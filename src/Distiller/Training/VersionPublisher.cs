using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;
using StackExchange.Redis;

namespace KdServing.Distiller.Training;

/// <summary>Judges, writes and announces versions beside the training; one at a time.</summary>
/// <remarks>
/// The training thread only forks tables, copies the dense part and scores the golden requests; judging, writing and the parity
/// check run on another thread.
/// </remarks>
/// <param name="transfer">Offers versions through Redis too; null: servers share the repository's folder.</param>
/// <param name="clock">Tells how old the version in service is.</param>
/// <param name="atStep">Told before each step that a crash could fall between; null in production.</param>
public sealed class VersionPublisher(FeatureSchema schema, string model, GatePolicy policy, ModelRepository repository, PublishedWeights weights,
    Journal journal, ModelOwner owner, LogitStream stream, VersionTransfer? transfer, TimeProvider clock, Action<string>? atStep = null) : IAsyncDisposable
{
    private const int GateChunkRecords = 64;

    private readonly CancellationTokenSource ended = new();
    private Task<Result>? running;
    private bool isReplay;
    private (long Version, long At) published;

    /// <summary>How a refresh ended.</summary>
    /// <param name="Published">The version as the trainer remembers it; null when held or failed.</param>
    public sealed record Result(VersionPlan Plan, DraftOutcome Outcome, FrozenStudent? Published);

    /// <summary>A draft has begun and its result was not taken.</summary>
    public bool IsBusy => running is not null;

    /// <summary>Starts a refresh from the weights of now. Between two steps, when not busy.</summary>
    /// <param name="known">How it ended the first time, when this is a replay.</param>
    public void Begin(Trainer trainer, VersionPlan plan, DraftOutcome? known, CancellationToken stop)
    {
        var (draft, candidate) = trainer.Draft(plan);
        var (incumbent, state) = (trainer.Cohort.Published.Newest, trainer.Writer.State);
        var (heldOut, frozen) = (trainer.GateSet.Records.ToArray(), trainer.Cohort.Published.Frozen?.Version ?? 0);
        double? ageSeconds = incumbent is null ? null : AgeSeconds(incumbent.Version, plan.CreatedAtMs - state.NewestCreatedAtMs);
        isReplay = known is not null;
        running = Task.Run(async () =>
        {
            Result? result = null;
            try
            {
                // What is in the repository was judged already, by a process that died before it could say so.
                var decided = known?.End ?? (IsPublished(plan) ? DraftEnd.Published : Judge(candidate, incumbent, heldOut, ageSeconds));
                atStep?.Invoke("judged");
                result = await EndAsync(trainer.Writer, draft, candidate, plan, decided, known is not null, frozen, stop);
                return result;
            }
            finally
            {
                draft.Dispose();
                if (result?.Published is null)
                    candidate.Dispose();
            }
        }, CancellationToken.None);
    }

    /// <summary>The refresh that ended since the last call; null when none did.</summary>
    /// <exception cref="OwnershipLostException">Another Distiller has taken the model.</exception>
    public Result? TakeResult()
    {
        if (running is not { IsCompleted: true })
            return null;
        var result = running.GetAwaiter().GetResult();
        running = null;
        if (result.Published is { } version && !isReplay)
            published = (version.Version, clock.GetTimestamp());
        return result;
    }

    /// <summary>Waits for the refresh in progress, which waits for Redis no more. What it ended with is nobody's any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await ended.CancelAsync();
        await FinishAsync().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        ended.Dispose();
    }

    // The wall clock may be set meanwhile; it counts only for a version of before this process.
    private double AgeSeconds(long version, long byDatesMs) =>
        version == published.Version ? clock.GetElapsedTime(published.At).TotalSeconds : byDatesMs / 1000.0;

    /// <summary>Waits for the refresh in progress.</summary>
    public Task FinishAsync() => running ?? Task.CompletedTask;

    private async Task<Result> EndAsync(VersionWriter writer, VersionDraft draft, FrozenStudent candidate, VersionPlan plan, DraftEnd decided, bool isReplay,
        long frozenVersion, CancellationToken stop)
    {
        if (decided != DraftEnd.Published)
        {
            writer.Hold(draft);
            return new(plan, new(plan.Version, decided), null);
        }
        if (!TryWrite(writer, draft, plan, isReplay))
            return new(plan, new(plan.Version, DraftEnd.Failed), null);
        try
        {
            weights.Save(candidate, frozenVersion);
        }
        // A version that is in the repository stands, whatever else the disk refuses.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DistillerLog.Warn($"weights of version {plan.Version} not kept for comparison after a restart: {e.Message}");
        }
        atStep?.Invoke("published");
        if (!isReplay)
        {
            try
            {
                using var until = CancellationTokenSource.CreateLinkedTokenSource(stop, ended.Token);
                await stream.InsistAsync(() => journal.AnnounceAsync(plan.Version), until.Token);
            }
            catch (OperationCanceledException)
            {
                DistillerLog.Warn($"version {plan.Version} is in the repository but was not announced: Redis is away");
            }
            atStep?.Invoke("announced");
        }
        return new(plan, new(plan.Version, DraftEnd.Published), candidate);
    }

    private bool TryWrite(VersionWriter writer, VersionDraft draft, VersionPlan plan, bool isReplay)
    {
        try
        {
            // A version that was published and removed since, as old ones are, stays removed.
            if (isReplay && repository.Versions(model).LastOrDefault() > plan.Version && repository.TryManifest(model, plan.Version) is null)
            {
                writer.Adopt(plan);
                return true;
            }
            var (again, manifest) = (IsPublished(plan), writer.Publish(draft, plan));
            DistillerLog.Info($"version {manifest.Version} {(again ? "derived again, the same files" : "published")} ({manifest.Kind.ToString().ToLowerInvariant()}, {manifest.RecordsLearned} records learned)");
            Offer(manifest);
            return true;
        }
        catch (StaleEpochException e)
        {
            throw new OwnershipLostException(e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ParityException or RederivationException)
        {
            DistillerLog.Error($"version {plan.Version} not published: {e.Message}; training goes on{(isReplay ? "" : ", the next refresh tries again")}");
            if (!isReplay)
            {
                // Its number is taken by what is not ours, or is damaged: the next version is a base above it, else none would ever come.
                if (repository.Versions(model).LastOrDefault() is var newest && newest >= plan.Version)
                    writer.Rebase(newest);
                return false;
            }
            // It was published once: what follows rests on it or, if it is gone, on the next base.
            writer.Rebase(Math.Max(plan.Version, repository.Versions(model).LastOrDefault()));
            return true;
        }
    }

    // A version that is not offered is offered with the next one: a chain is offered whole.
    private void Offer(VersionManifest manifest)
    {
        try
        {
            transfer?.Offer(repository, manifest);
        }
        catch (Exception e) when (e is ContractException or RedisException or TimeoutException)
        {
            DistillerLog.Warn($"version {manifest.Version} is in the repository but not offered through Redis: {e.Message}");
        }
    }

    private bool IsPublished(VersionPlan plan) =>
        repository.TryManifest(model, plan.Version) is { } there && there.Lineage == plan.Lineage && there.Epoch == plan.Epoch && owner.Epoch >= plan.Epoch;

    private DraftEnd Judge(FrozenStudent candidate, FrozenStudent? incumbent, TeacherRecord[] heldOut, double? incumbentAgeSeconds)
    {
        var comparison = new GateComparison();
        var batch = new FeatureBatch(schema, []);
        for (var start = 0; start < heldOut.Length; start += GateChunkRecords)
        {
            batch.Clear();
            foreach (var record in heldOut.AsSpan(start, Math.Min(GateChunkRecords, heldOut.Length - start)))
                batch.Add(record);
            var (ours, theirs) = (FirstTarget(candidate, batch), incumbent is null ? [] : FirstTarget(incumbent, batch));
            for (var u = 0; u < batch.Records; u++)
            {
                var (first, count) = (batch.Starts[u], batch.Starts[u + 1] - batch.Starts[u]);
                comparison.Add(new(batch.Labels(0).Slice(first, count), batch.Origins.Slice(first, count), batch.LogQ.Slice(first, count)),
                    ours.AsSpan(first, count), incumbent is null ? default : theirs.AsSpan(first, count));
            }
        }
        var decision = PromotionGate.Decide(comparison, incumbentAgeSeconds, policy);
        DistillerLog.Info($"{(decision.Publish ? "version passes the gate" : "version held back")}: {decision.Reason}");
        return decision.Publish ? DraftEnd.Published : DraftEnd.Held;
    }

    private float[] FirstTarget(FrozenStudent student, FeatureBatch batch)
    {
        var targets = schema.Targets.Count;
        var logits = new float[batch.Candidates * targets];
        student.Score(batch, logits);
        for (var i = 0; targets > 1 && i < batch.Candidates; i++)
            logits[i] = logits[i * targets];
        return logits;
    }
}
