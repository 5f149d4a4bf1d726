using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Training;

/// <summary>Judges, writes and announces versions beside the training; one at a time.</summary>
/// <remarks>
/// The training thread only forks tables, copies the dense part and scores the golden requests; judging, writing and the parity
/// check run on another thread.
/// </remarks>
public sealed class VersionPublisher(FeatureSchema schema, string model, VersionWriter writer, VersionAnnouncements announcements,
    PublishedWeights weights, LogitStream stream)
{
    // Enough requests to catch a wrong graph, few enough to cost a millisecond.
    private const int GoldenRequestCount = 4;

    private readonly FeatureBatch golden = new(schema, []);
    private Task<Outcome>? running;

    /// <summary>How a refresh ended.</summary>
    /// <param name="Published">The version as the trainer remembers it; null when held or failed.</param>
    /// <param name="Held">The gate kept the incumbent.</param>
    public sealed record Outcome(FrozenStudent? Published, VersionManifest? Manifest, bool Held);

    public bool IsBusy => running is { IsCompleted: false };

    /// <summary>Starts a refresh from the weights of now. Between two steps, when not busy.</summary>
    /// <param name="recent">Records to make the golden batch from; the last few are used.</param>
    public void Begin(Learner learner, IReadOnlyList<TeacherRecord> recent, DraftOrigin origin, long frozenVersion, CancellationToken stop)
    {
        var dense = learner.Student.ToDense();
        var draft = VersionDraft.Take(schema, learner.Embeddings.Tables, dense, Golden(learner, recent), origin);
        var student = draft.Tables.Select(t => t.Fork()).ToList();
        running = Task.Run(() => PublishAsync(draft, version => new(version, dense, student), frozenVersion, stop), CancellationToken.None);
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

    private async Task<Outcome> PublishAsync(VersionDraft draft, Func<long, FrozenStudent> remember, long frozenVersion, CancellationToken stop)
    {
        VersionManifest manifest;
        FrozenStudent published;
        using (draft)
        {
            try
            {
                manifest = writer.Publish(draft);
                published = remember(manifest.Version);
                weights.Save(published, frozenVersion);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                DistillerLog.Error($"version not published: {e.Message}; training goes on, next try at the next refresh");
                return new(null, null, false);
            }
            catch (ParityException e)
            {
                DistillerLog.Error($"version not published: {e.Message}");
                return new(null, null, false);
            }
        }
        try
        {
            await stream.InsistAsync(() => announcements.PublishedAsync(manifest.Version), stop);
        }
        catch (OperationCanceledException)
        {
            DistillerLog.Warn($"version {manifest.Version} is in the repository but was not announced: Redis is away");
        }
        return new(published, manifest, false);
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
