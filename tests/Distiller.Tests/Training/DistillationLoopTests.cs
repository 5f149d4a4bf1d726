using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using StackExchange.Redis;

namespace KdServing.Distiller.Tests.Training;

/// <summary>The loop against a real Redis, a real repository and real checkpoints.</summary>
public sealed class DistillationLoopTests(RedisServer redis) : IClassFixture<RedisServer>, IDisposable
{
    private const string Student = """{ "family": "two_tower", "user_tower": [8], "item_tower": [8], "live_net": [4] }""";

    private readonly TemporaryFolder folder = new();
    private readonly string model = $"m{Guid.NewGuid():N}"[..12];
    private long entryClock;

    private string Repository => folder["repository"];

    private string State => folder["state"];

    private StreamKeys Keys => new(model);

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task It_learns_publishes_and_acknowledges_all()
    {
        await WriteAsync(0, 1500);

        var status = await RunAsync();

        Assert.Equal(1500, Number(status, "consumed"));
        Assert.Equal(1500, Number(status, "acked"));
        Assert.InRange(Number(status, "held_out"), 5, 60);
        Assert.Equal(0, Number(status, "lag_records"));
        Assert.Equal("stopped", status.GetProperty("phase").GetString());
        var newest = new ModelRepository(Repository).Versions(model)[^1];
        var manifest = new ModelRepository(Repository).Manifest(model, newest);
        Assert.True(manifest.Covers((string)Keys.Logits!, StreamId.Parse(status.GetProperty("position").GetProperty((string)Keys.Logits!).GetString()!)));
        Assert.Equal(1_700_000_000_000 + 1499, manifest.WatermarkMs);
        Assert.Equal(15, manifest.TeacherVersions["ranker"]);
        Assert.Equal(newest, (await new VersionAnnouncements(redis.Database, model).NewestPublishedAsync())!.Value.Version);
    }

    // The second half continues the first: bit for bit what one run over both halves gives.
    [Fact]
    public async Task It_continues_where_it_stopped()
    {
        await WriteAsync(0, 640);
        await RunAsync();
        await WriteAsync(640, 640);
        var status = await RunAsync();

        Assert.Equal(1280, Number(status, "consumed"));
        Assert.Equal(0, Number(status, "missing"));
        Assert.Equal(0, Number(status, "repeats"));
        await redis.Database.KeyDeleteAsync(Keys.Logits);
        await WriteAsync(0, 1280);
        await RunAsync(state: folder["other-state"], repository: folder["other-repository"]);
        Assert.Equal(Weights(folder["other-state"]), Weights(State));
    }

    // Every second version is a base: the item encoder's file is the same within a base and its deltas, and another one with the next base.
    [Fact]
    public async Task A_frozen_item_tower_moves_on_bases_only()
    {
        await WriteAsync(0, 3000);

        await RunAsync(refresh: """{ "records": 300, "seconds": null, "base_every": 2, "freeze_item_tower": true }""");

        var repository = new ModelRepository(Repository);
        var versions = repository.Versions(model).Select(v => repository.Manifest(model, v)).ToList();
        Assert.Contains(versions, v => v.Kind == VersionKind.Delta);
        Assert.True(versions.Count(v => v.Kind == VersionKind.Base) >= 2, $"{versions.Count} versions");
        foreach (var version in versions)
        {
            var itsBase = versions.Single(v => v.Version == version.BaseVersion);
            Assert.Equal(Sha(itsBase, StudentSignature.ItemEncoderFile), Sha(version, StudentSignature.ItemEncoderFile));
            if (version != itsBase)
                Assert.NotEqual(Sha(itsBase, StudentSignature.HeadFile), Sha(version, StudentSignature.HeadFile));
        }
        var bases = versions.Where(v => v.Kind == VersionKind.Base).ToList();
        Assert.Equal(bases.Count, bases.Select(b => Sha(b, StudentSignature.ItemEncoderFile)).Distinct().Count());

        static string Sha(VersionManifest manifest, string file) => manifest.Files[file].Sha256;
    }

    [Fact]
    public async Task What_can_not_be_read_becomes_a_dead_letter_and_the_rest_is_learned()
    {
        await WriteAsync(0, 40);
        var foreign = Impressions.Record(40);
        foreign.SchemaFingerprint ^= 1;
        await AppendAsync("v", 1, "r", foreign.ToByteArray());
        await AppendAsync("v", 1, "r", new byte[] { 1, 2, 3 });
        await AppendAsync("v", 2, "r", Impressions.Record(40).ToByteArray());
        await AppendAsync("something", "else");
        await WriteAsync(40, 40);

        var status = await RunAsync();

        Assert.Equal(80, Number(status, "consumed"));
        Assert.Equal(4, Number(status, "dead_lettered"));
        Assert.Equal(84, Number(status, "acked"));
        var reasons = await DeadLettersAsync();
        Assert.Equal(4, reasons.Count);
        Assert.Contains("use the same schema.json on both sides", reasons[0], StringComparison.Ordinal);
        Assert.StartsWith("r: ", reasons[1], StringComparison.Ordinal);
        Assert.StartsWith("v: ", reasons[2], StringComparison.Ordinal);
        Assert.StartsWith("v: ", reasons[3], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_repeat_is_applied_once_and_a_gap_is_counted()
    {
        await WriteAsync(0, 20);
        await WriteAsync(15, 5);
        await WriteAsync(30, 10);

        var status = await RunAsync();

        Assert.Equal(30, Number(status, "consumed"));
        Assert.Equal(5, Number(status, "repeats"));
        Assert.Equal(10, Number(status, "missing"));
    }

    [Fact]
    public async Task A_folder_that_refuses_stops_nothing_and_acknowledges_nothing()
    {
        // A file where a folder must be: every write below it fails, as on a full disk.
        File.WriteAllText(Repository, "");
        File.WriteAllText(State, "");
        await WriteAsync(0, 100);
        using var stop = new CancellationTokenSource();
        var run = RunAsync(untilIdleSeconds: null, stop: stop.Token);
        await UntilAsync(s => Number(s, "consumed") == 100);
        Assert.Equal(0, Number(Status(), "acked"));
        Assert.Equal(0, Number(Status(), "versions_published"));
        Assert.Equal(100, await redis.Database.ExecuteAsync("XLEN", Keys.Logits).ContinueWith(t => (long)t.Result));

        File.Delete(Repository);
        File.Delete(State);
        await WriteAsync(100, 50);
        await UntilAsync(s => Number(s, "acked") == 150 && Number(s, "versions_published") > 0);
        await stop.CancelAsync();

        Assert.Equal(150, Number(await run, "acked"));
    }

    [Fact]
    public async Task State_of_another_schema_is_refused_with_the_remedy()
    {
        await WriteAsync(0, 40);
        await RunAsync();

        var other = FeatureSchema.Parse(Impressions.Schema.Json.Replace("\"buckets\": 4096", "\"buckets\": 4097", StringComparison.Ordinal));
        var fault = await Assert.ThrowsAsync<ContractException>(() => RunAsync(schema: other));

        Assert.Equal("state", fault.Field);
        Assert.Contains("schema.json", fault.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_Distiller_waits_for_the_first()
    {
        await WriteAsync(0, 20);
        await redis.Database.StringSetAsync(Keys.Owner, "elsewhere/1/token", TimeSpan.FromSeconds(60));
        var run = RunAsync();
        await UntilAsync(s => s.GetProperty("phase").GetString() == "waiting");
        Assert.Equal(0, Number(Status(), "consumed"));

        await redis.Database.KeyDeleteAsync(Keys.Owner);

        Assert.Equal(20, Number(await run, "consumed"));
        Assert.False(await redis.Database.KeyExistsAsync(Keys.Owner));
    }

    // What an owner that slept past its lease does when it wakes: nothing takes effect.
    [Fact]
    public async Task A_stale_owner_can_neither_journal_nor_trim_nor_announce()
    {
        var stream = new LogitStream([new LogitStreamReader(redis.Database, model, Impressions.Schema)], redis.Endpoint);
        var (sleeper, successor) = (new ModelOwner(redis.Database, model), new ModelOwner(redis.Database, model));
        await sleeper.TakeAsync(stream, known: 0, default);
        var journal = new Journal(redis.Database, model, sleeper, stream) { Life = "life" };
        await journal.AppendAsync(new() { Epoch = 1, Life = "life", Live = 1 }, [], default);
        await WriteAsync(0, 3);
        await redis.Database.KeyDeleteAsync(Keys.Owner);
        await successor.TakeAsync(stream, known: 0, default);

        Assert.Equal((1, 2), (sleeper.Epoch, successor.Epoch));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.AppendAsync(new() { Epoch = 1, Life = "life", Live = 2 }, [], default));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.TrimAsync(new Dictionary<string, StreamId> { [(string)Keys.Logits!] = new(long.MaxValue / 2, 0) }, 5));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.AnnounceAsync(7));
        Assert.Single(await journal.ReadAsync(0, default));
        Assert.Equal(3, (long)await redis.Database.ExecuteAsync("XLEN", Keys.Logits));
        Assert.False(await redis.Database.KeyExistsAsync(Keys.Versions));
        Assert.Equal(1, (await journal.ReadAsync(0, default))[0].Entry.Epoch);
    }

    [Fact]
    public async Task The_epoch_outlives_a_Redis_that_forgot_it()
    {
        var stream = new LogitStream([new LogitStreamReader(redis.Database, model, Impressions.Schema)], redis.Endpoint);
        var owner = new ModelOwner(redis.Database, model);
        await owner.TakeAsync(stream, known: 41, default);
        Assert.Equal(42, owner.Epoch);
        var journal = new Journal(redis.Database, model, owner, stream) { Life = "life" };

        await redis.Database.KeyDeleteAsync([Keys.Owner, Keys.Epoch]);
        await journal.AppendAsync(new() { Epoch = 42, Life = "life", Live = 1 }, [], default);

        Assert.Equal(43, owner.Epoch);
        Assert.Single(await journal.ReadAsync(0, default));
    }

    // The reply was lost, the entry was not: the same append again is recognised, and its dead letter is not written twice.
    [Fact]
    public async Task An_append_repeated_after_a_lost_reply_is_there_once()
    {
        await AppendAsync("v", 1, "r", new byte[] { 1 });
        var reader = new LogitStreamReader(redis.Database, model, Impressions.Schema);
        var stream = new LogitStream([reader], redis.Endpoint);
        var owner = new ModelOwner(redis.Database, model);
        await owner.TakeAsync(stream, known: 0, default);
        var dead = (Keys.Logits, (await reader.ReadAsync(StreamId.Zero, 1))[0]);
        var entry = new JournalEntry { Epoch = 1, Life = "life", Batch = new(1, new Dictionary<string, StreamRange>()) };
        var journal = new Journal(redis.Database, model, owner, stream) { Life = "life" };
        await journal.AppendAsync(entry, [dead], default);

        journal.Sequence = 0;
        await journal.AppendAsync(entry, [dead], default);

        Assert.Single(await journal.ReadAsync(0, default));
        Assert.Single(await DeadLettersAsync());
    }

    [Fact]
    public async Task Shards_are_learned_in_one_order_and_their_positions_are_kept_apart()
    {
        var shards = Keys.LogitShards(3);
        async Task WriteShardsAsync()
        {
            for (var r = 0; r < 600; r++)
                await redis.Database.ExecuteAsync("XADD", shards[r % 3], $"{r / 7 + 1}-{r + 1}", "v", 1, "r", Impressions.Record(r, sequence: (ulong)(r / 3) + 1).ToByteArray());
        }
        await WriteShardsAsync();

        var status = await RunAsync(shards: 3);

        Assert.Equal(600, Number(status, "consumed"));
        Assert.Equal((0, 0), (Number(status, "missing"), Number(status, "repeats")));
        var positions = status.GetProperty("position");
        Assert.Equal(shards.Select(s => (string)s!).Order(), positions.EnumerateObject().Select(p => p.Name).Order());
        var whole = Weights(State);
        await redis.Database.KeyDeleteAsync([.. shards]);
        await WriteShardsAsync();
        await RunAsync(shards: 3, state: folder["again"], repository: folder["again-repository"]);
        Assert.Equal(whole, Weights(folder["again"]));
    }

    // Labels on a stream of their own: half of them come with a restart in between, which must not matter.
    [Fact]
    public async Task Delayed_labels_are_learned_once_and_open_joins_outlive_a_restart()
    {
        // A version is live before the unlabelled records come: all scorers score them.
        await WriteClockedAsync(0, 320, labelled: true);
        using var stop = new CancellationTokenSource();
        var run = RunAsync(untilIdleSeconds: null, labels: true, stop: stop.Token);
        await UntilAsync(s => Number(s, "acked") == 320 && s.GetProperty("live_version").ValueKind == JsonValueKind.Number);
        await stop.CancelAsync();
        var before = await run;
        await WriteClockedAsync(320, 320, labelled: false);
        await WriteLabelsAsync(320, 160);
        await RunAsync(labels: true);
        await WriteLabelsAsync(480, 160);
        await WriteLabelsAsync(320, 16, sequence: 641);
        var status = await RunAsync(labels: true);

        var counters = status.GetProperty("labels");
        Assert.Equal((320, 16), (Number(counters, "joined"), Number(counters, "duplicate")));
        Assert.Equal((0, 0), (Number(counters, "open"), Number(counters, "late")));
        Assert.Equal(640, Number(status, "consumed"));
        var learned = Number(status, "consumed") - Number(status, "held_out") - (Number(before, "consumed") - Number(before, "held_out"));
        Assert.Equal(learned, Evaluated(status) - Evaluated(before));
        var whole = Weights(State);
        await redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Labels]);
        await WriteClockedAsync(0, 320, labelled: true);
        await WriteClockedAsync(320, 320, labelled: false);
        await WriteLabelsAsync(320, 320);
        await WriteLabelsAsync(320, 16, sequence: 641);
        await RunAsync(labels: true, state: folder["other"], repository: folder["other-repository"]);
        Assert.Equal(whole, Weights(folder["other"]));

        static long Evaluated(JsonElement status) =>
            status.GetProperty("scorers").TryGetProperty("student_latest", out var scorer) ? Number(scorer, "records") : 0;
    }

    // Through two lives, bases and deltas, held by nothing but checkpoints and what lies beside them.
    [Fact]
    public async Task Every_kept_version_can_be_rebuilt_bit_for_bit()
    {
        await WriteAsync(0, 640);
        await RunAsync(refresh: """{ "seconds": null, "records": 100, "base_every": 3 }""");
        await WriteAsync(640, 320);
        await RunAsync(refresh: """{ "seconds": null, "records": 100, "base_every": 3 }""");
        await redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Journal]);

        var versions = new ModelRepository(Repository).Versions(model);
        Assert.InRange(versions.Count, 3, 12);
        foreach (var version in versions)
            Assert.Null(ReplayCommand.Run(Impressions.Schema, StudentConfig.Parse(Student), Config(), Repository, State, version, null).Difference);
    }

    [Fact]
    public async Task A_damaged_newest_checkpoint_is_said_and_the_one_before_is_continued_from_the_streams()
    {
        await WriteAsync(0, 320);
        await RunAsync(checkpointSeconds: 100);
        await WriteAsync(320, 320);
        await RunAsync(checkpointSeconds: 100);
        var undamaged = Weights(State);
        var newest = Directory.GetDirectories(Path.Combine(State, "checkpoints")).Order().Last();
        File.WriteAllText(Path.Combine(newest, "student.safetensors"), "");

        var status = await RunAsync();

        Assert.Equal(640, Number(status, "consumed"));
        Assert.True(Number(status, "replayed") > 0);
        Assert.Equal(undamaged, Weights(State));
    }

    [Fact]
    public async Task Without_what_an_older_checkpoint_needs_it_refuses_and_says_what_to_do()
    {
        await WriteAsync(0, 320);
        await RunAsync(checkpointSeconds: 100);
        await WriteAsync(320, 320);
        await RunAsync(checkpointSeconds: 100);
        foreach (var path in Directory.GetDirectories(Path.Combine(State, "checkpoints")).Order().Skip(2))
            File.WriteAllText(Path.Combine(path, "student.safetensors"), "");
        await redis.Database.ExecuteAsync("XTRIM", Keys.Logits, "MAXLEN", 100);

        var fault = await Assert.ThrowsAsync<ContractException>(() => RunAsync());
        Assert.Contains("--accept-loss", fault.Reason, StringComparison.Ordinal);

        var status = await RunAsync(acceptLoss: true);
        Assert.True(Number(status, "lost") > 0);
        Assert.Equal("stopped", status.GetProperty("phase").GetString());
    }

    [Fact]
    public async Task A_Distiller_whose_model_was_taken_over_stops()
    {
        var run = RunAsync(untilIdleSeconds: null);
        await UntilAsync(s => s.GetProperty("phase").GetString() == "waiting" && redis.Database.KeyExists(Keys.Owner));

        await redis.Database.StringSetAsync(Keys.Owner, "elsewhere/1/token", TimeSpan.FromSeconds(60));

        var fault = await Assert.ThrowsAsync<OwnershipLostException>(() => run);
        Assert.Contains("elsewhere/1", fault.Message, StringComparison.Ordinal);
    }

    private async Task WriteAsync(int first, int count)
    {
        for (var r = first; r < first + count; r++)
            await AppendAsync("v", 1, "r", Impressions.Record(r).ToByteArray());
    }

    // Ids in the order of writing: entries of two streams written within a millisecond would be merged by chance.
    private async Task WriteClockedAsync(int first, int count, bool labelled)
    {
        for (var r = first; r < first + count; r++)
        {
            var record = Impressions.Record(r);
            if (!labelled)
                record.Labels.Clear();
            await redis.Database.ExecuteAsync("XADD", Keys.Logits, $"{++entryClock}-0", "v", 1, "r", record.ToByteArray());
        }
    }

    private async Task WriteLabelsAsync(int first, int count, int sequence = 0)
    {
        for (var r = first; r < first + count; r++)
        {
            var record = Impressions.Record(r);
            var labels = new LabelRecord
            {
                RequestId = record.RequestId,
                EventTimeMs = record.EventTimeMs + 1000,
                ProducerId = "labels",
                Sequence = (ulong)(sequence == 0 ? r + 1 : sequence + r - first),
                Labels = { record.Labels },
            };
            await redis.Database.ExecuteAsync("XADD", Keys.Labels, $"{++entryClock}-0", "v", 1, "r", labels.ToByteArray());
        }
    }

    private Task AppendAsync(params object[] fields) => redis.Database.ExecuteAsync("XADD", [Keys.Logits, "*", .. fields]);

    private async Task<JsonElement> RunAsync(double? untilIdleSeconds = 0.7, double checkpointSeconds = 0.3, string? state = null, string? repository = null,
        FeatureSchema? schema = null, int shards = 1, bool acceptLoss = false, bool labels = false, string refresh = """{ "seconds": 0.3 }""", CancellationToken stop = default)
    {
        var config = Config(checkpointSeconds, shards, labels, refresh);
        await using var loop = new DistillationLoop(schema ?? Impressions.Schema, StudentConfig.Parse(Student), config,
            new(redis.Endpoint, repository ?? Repository, state ?? State, folder["status.json"], null, untilIdleSeconds) { AcceptLoss = acceptLoss }, redis.Database);
        await Task.Run(() => loop.RunAsync(stop), CancellationToken.None);
        return Status();
    }

    private DistillerConfig Config(double checkpointSeconds = 0.3, int shards = 1, bool labels = false, string refresh = """{ "seconds": 0.3 }""") =>
        DistillerConfig.Parse($$"""
            { "model": "{{model}}", "shards": {{shards}}, "labels": {{(labels ? "{}" : "null")}}, "batch_records": 16, "idle_seconds": 0.3,
              "refresh": {{refresh}}, "checkpoint": { "every_seconds": {{checkpointSeconds}} },
              "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ] }
            """);

    private JsonElement Status() => JsonDocument.Parse(File.ReadAllBytes(folder["status.json"])).RootElement;

    private async Task UntilAsync(Func<JsonElement, bool> condition)
    {
        for (var i = 0; i < 600; i++)
        {
            if (File.Exists(folder["status.json"]) && condition(Status()))
                return;
            await Task.Delay(50);
        }
        Assert.Fail($"still not so after 30 s: {Status()}");
    }

    private async Task<List<string>> DeadLettersAsync()
    {
        var entries = (RedisResult[])(await redis.Database.ExecuteAsync("XRANGE", Keys.DeadLetters, "-", "+"))!;
        return [.. entries.Select(e => (string)((RedisResult[])((RedisResult[])e!)[1]!)[3]!)];
    }

    private static byte[] Weights(string state) =>
        File.ReadAllBytes(Path.Combine(Directory.GetDirectories(Path.Combine(state, "checkpoints")).Order().Last(), "student.safetensors"));

    private static long Number(JsonElement status, string name) => status.GetProperty(name).GetInt64();
}
