using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Distiller.Tests.Training;

/// <summary>What is learned, published and acknowledged of what is in the streams.</summary>
public sealed class DistillationLoopTests(RedisServer redis) : DistillationRuns(redis)
{
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
        var newest = new ModelRepository(Repository).Versions(Model)[^1];
        var manifest = new ModelRepository(Repository).Manifest(Model, newest);
        Assert.True(manifest.Covers((string)Keys.Logits!, StreamId.Parse(status.GetProperty("position").GetProperty((string)Keys.Logits!).GetString()!)));
        Assert.Equal(1_700_000_000_000 + 1499, manifest.WatermarkMs);
        Assert.Equal(15, manifest.TeacherVersions["ranker"]);
        Assert.Equal(newest, (await new VersionAnnouncements(Redis.Database, Model).NewestPublishedAsync())!.Value.Version);
    }

    // Every second version is a base: the item encoder's file is the same within a base and its deltas, and another one with the next base.
    [Fact]
    public async Task A_frozen_item_tower_moves_on_bases_only()
    {
        await WriteAsync(0, 3000);

        await RunAsync(refresh: """{ "records": 300, "seconds": null, "base_every": 2, "freeze_item_tower": true }""");

        var repository = new ModelRepository(Repository);
        var versions = repository.Versions(Model).Select(v => repository.Manifest(Model, v)).ToList();
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
        Assert.Equal(100, await Redis.Database.ExecuteAsync("XLEN", Keys.Logits).ContinueWith(t => (long)t.Result));

        File.Delete(Repository);
        File.Delete(State);
        await WriteAsync(100, 50);
        await UntilAsync(s => Number(s, "acked") == 150 && Number(s, "versions_published") > 0);
        await stop.CancelAsync();

        Assert.Equal(150, Number(await run, "acked"));
    }

    [Fact]
    public async Task Shards_are_learned_in_one_order_and_their_positions_are_kept_apart()
    {
        var shards = Keys.LogitShards(3);
        async Task WriteShardsAsync()
        {
            for (var r = 0; r < 600; r++)
                await Redis.Database.ExecuteAsync("XADD", shards[r % 3], $"{r / 7 + 1}-{r + 1}", "v", 1, "r", Impressions.Record(r, sequence: (ulong)(r / 3) + 1).ToByteArray());
        }
        await WriteShardsAsync();

        var status = await RunAsync(shards: 3);

        Assert.Equal(600, Number(status, "consumed"));
        Assert.Equal((0, 0), (Number(status, "missing"), Number(status, "repeats")));
        var positions = status.GetProperty("position");
        Assert.Equal(shards.Select(s => (string)s!).Order(), positions.EnumerateObject().Select(p => p.Name).Order());
        var whole = Weights(State);
        await Redis.Database.KeyDeleteAsync([.. shards]);
        await WriteShardsAsync();
        await RunAsync(shards: 3, state: Folder["again"], repository: Folder["again-repository"]);
        Assert.Equal(whole, Weights(Folder["again"]));
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
        await Redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Labels]);
        await WriteClockedAsync(0, 320, labelled: true);
        await WriteClockedAsync(320, 320, labelled: false);
        await WriteLabelsAsync(320, 320);
        await WriteLabelsAsync(320, 16, sequence: 641);
        await RunAsync(labels: true, state: Folder["other"], repository: Folder["other-repository"]);
        Assert.Equal(whole, Weights(Folder["other"]));

        static long Evaluated(JsonElement status) =>
            status.GetProperty("scorers").TryGetProperty("student_latest", out var scorer) ? Number(scorer, "records") : 0;
    }
}
