using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Training;

/// <summary>Judges, writes and announces versions beside the training; one at a time.</summary>
/// <remarks>
/// The training thread only forks tables, copies the dense part and scores the golden requests; judging, writing and the parity
/// check run on another thread.
/// </remarks>
public sealed class VersionPublisher(FeatureSchema schema, string model, GatePolicy policy, ModelRepository repository, VersionWriter writer,
    VersionAnnouncements announcements, PublishedWeights weights, LogitStream stream)
{
    // Enough requests to catch a wrong graph, few enough to cost a millisecond.
    private const int GoldenRequestCount = 4;
    private const int GateChunkRecords = 64;

    private readonly FeatureBatch golden = new(schema, []);
    private Task<Outcome>? running;

    /// <summary>How a refresh ended.</summary>
    /// <param name="Published">The version as the trainer remembers it; null when held or failed.</param>
    /// <param name="Held">The gate kept the incumbent.</param>
    public sealed record Outcome(FrozenStudent? Published, VersionManifest? Manifest, bool Held);

    public bool IsBusy => running is { IsCompleted: false };

    /// <summary>Starts a refresh from the weights of now. Between two steps, when not busy.</summary>
    /// <param name="recent">Records to make the golden batch from; the last few are used.</param>
    /// <param name="heldOut">What the gate compares on.</param>
    /// <param name="published">The newest is the gate's incumbent.</param>
    public void Begin(Learner learner, IReadOnlyList<TeacherRecord> recent, TeacherRecord[] heldOut, DraftOrigin origin,
        PublishedStudents published, CancellationToken stop)
    {
        var dense = learner.Student.ToDense();
        var draft = VersionDraft.Take(schema, learner.Embeddings.Tables, dense, Golden(learner, recent), origin);
        var candidate = new FrozenStudent(0, dense, [.. draft.Tables.Select(t => t.Fork())]);
        var (incumbent, frozen) = (published.Newest, published.Frozen?.Version ?? 0);
        running = Task.Run(() => PublishAsync(draft, candidate, incumbent, heldOut, frozen, stop), CancellationToken.None);
    }

    /// <summary>The refresh that ended since the last call; null when none did.</summary>
    public Outcome? TakeOutcome()
    {
        if (running is not { IsCompleted: true })
            return null;
        var outcome = running.GetAwaiter().GetResult();
        running = null;
        return outcome;
    }

    /// <summary>Waits for the refresh in progress.</summary>
    public Task FinishAsync() => running ?? Task.CompletedTask;

    private async Task<Outcome> PublishAsync(VersionDraft draft, FrozenStudent candidate, FrozenStudent? incumbent, TeacherRecord[] heldOut,
        long frozenVersion, CancellationToken stop)
    {
        VersionManifest? manifest = null;
        try
        {
            var decision = Judge(candidate, incumbent, heldOut);
            if (!decision.Publish)
            {
                writer.Hold(draft);
                DistillerLog.Info($"version held back: {decision.Reason}");
                return new(null, null, true);
            }
            manifest = writer.Publish(draft);
            candidate.Version = manifest.Version;
            DistillerLog.Info($"version {manifest.Version} published ({manifest.Kind.ToString().ToLowerInvariant()}, "
                + $"{manifest.RecordsLearned} records learned): {decision.Reason}");
            weights.Save(candidate, frozenVersion);
        }
        // A version that is in the repository stands, whatever else the disk refuses.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && manifest is not null)
        {
            DistillerLog.Warn($"weights of version {manifest.Version} not kept for comparison after a restart: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ParityException)
        {
            DistillerLog.Error($"version not published: {e.Message}; training goes on, the next refresh tries again");
            return new(null, null, false);
        }
        finally
        {
            draft.Dispose();
            if (manifest is null)
                candidate.Dispose();
        }
        try
        {
            await stream.InsistAsync(() => announcements.PublishedAsync(manifest.Version), stop);
        }
        catch (OperationCanceledException)
        {
            DistillerLog.Warn($"version {manifest.Version} is in the repository but was not announced: Redis is away");
        }
        return new(candidate, manifest, false);
    }

    private GateDecision Judge(FrozenStudent candidate, FrozenStudent? incumbent, TeacherRecord[] heldOut)
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
        double? ageSeconds = incumbent is null ? null
            : (DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - repository.Manifest(model, incumbent.Version).CreatedAtMs) / 1000.0;
        return PromotionGate.Decide(comparison, ageSeconds, policy);
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

    private GoldenBatch Golden(Learner learner, IReadOnlyList<TeacherRecord> recent)
    {
        var records = recent.TakeLast(GoldenRequestCount).ToList();
        golden.Clear();
        foreach (var record in records)
            golden.AddFeatures(record.User, record.Item, record.Privileged, record.CandidateCount);
        var targets = schema.Targets.Count;
        var logits = new float[golden.Candidates * targets];
        learner.Score(golden, logits);
        return GoldenRequests.Batch(records.Select((r, u) =>
            (GoldenRequests.From(r, model), logits[(golden.Starts[u] * targets)..(golden.Starts[u + 1] * targets)])));
    }
}
