using KdServing.Contracts;
using KdServing.Serving.Catalog;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>The catalog survives: snapshot, bulk file and stream, over a real Redis.</summary>
public sealed class CatalogSnapshotTests(RedisServer redis) : IClassFixture<RedisServer>
{
    private const string SnapshotName = $"{SampleStudent.Model}.items";

    [Fact]
    public async Task Items_come_over_the_stream_and_what_is_malformed_goes_to_the_dead_letters()
    {
        await redis.Database.ExecuteAsync("FLUSHALL");
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        var stream = new ItemStream(redis.Database, SampleStudent.Model);
        var items = new SampleItems(sample, 100, seed: 1);
        await stream.AppendAsync(items.Batch(), sample.Schema);
        await redis.Database.ExecuteAsync("XADD", $"kd:{SampleStudent.Model}:items", "*", "v", 1, "r", "not a batch");
        await redis.Database.ExecuteAsync("XADD", $"kd:{SampleStudent.Model}:items", "*", "hello", "world");
        // An unknown 64-bit field cut short: the parser throws something else than its own exception.
        await redis.Database.ExecuteAsync("XADD", $"kd:{SampleStudent.Model}:items", "*", "v", 1, "r", new byte[] { 0x79, 1, 2 });
        await using var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint, catalog: new() { Folder = folder.Path });
        // Read before the first version serves.
        SampleItems.RequireEqual(sample.Score(items.Inline), Interleaved(await server.Client.RankAsync(items.ById())), 1e-4f);
        var later = new SampleItems(sample, 50, seed: 2, firstId: 5000);
        await stream.AppendAsync(later.Batch(), sample.Schema);
        await stream.AppendAsync(new() { Remove = { items.Ids[0] } }, sample.Schema);
        await Eventually.HoldsAsync(() => server.Catalog.Count == 149, "the catalog follows the stream");
        SampleItems.RequireEqual(sample.Score(later.Inline), Interleaved(await server.Client.RankAsync(later.ById())), 1e-4f);
        Assert.Equal(3, server.Items.Report().DeadLettered);
        var (count, newest) = await stream.DeadLettersAsync();
        Assert.Equal(3, count);
        Assert.Contains("r: is not an ItemBatch", newest, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_starts_again_from_its_snapshot_and_the_tail_of_the_stream()
    {
        await redis.Database.ExecuteAsync("FLUSHALL");
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        var options = new CatalogOptions { Folder = folder.Path };
        var stream = new ItemStream(redis.Database, SampleStudent.Model);
        var items = new SampleItems(sample, 100, seed: 1);
        await stream.AppendAsync(items.Batch(), sample.Schema);
        await using (var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint, catalog: options))
            Assert.Equal(100, server.Catalog.Count);
        // Written when the server stopped. What it holds is gone from the stream; what came since is not.
        await redis.Database.ExecuteAsync("XTRIM", $"kd:{SampleStudent.Model}:items", "MAXLEN", 0);
        var later = new SampleItems(sample, 30, seed: 2, firstId: 1090);
        await stream.AppendAsync(later.Batch(), sample.Schema);
        using var again = new SampleStudent("mlp");
        await using var restarted = await RunningServer.StartAsync(again, redis: redis.Endpoint, catalog: options);
        Assert.Equal(120, restarted.Catalog.Count);
        SampleItems.RequireEqual(sample.Score(later.Inline), Interleaved(await restarted.Client.RankAsync(later.ById())), 1e-4f);
        Assert.True(restarted.Log.Holds(LogLevel.Information, "100 items restored from the snapshot"));
    }

    public static TheoryData<string> Damages => ["torn", "flipped", "emptied", "missing"];

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_damaged_snapshot_is_not_used_and_the_one_before_is(string damage)
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        var snapshots = new CatalogSnapshot(folder.Path, SampleStudent.Model);
        var (older, newer) = (new SampleItems(sample, 40, seed: 1), new SampleItems(sample, 60, seed: 2));
        snapshots.Write(new(SampleStudent.Model, "0-0", 40, 1, null), [older.Batch()]);
        snapshots.Write(new(SampleStudent.Model, "0-0", 60, 2, null), [newer.Batch()]);
        var bytes = await File.ReadAllBytesAsync(folder[SnapshotName]);
        if (damage == "flipped")
            bytes[bytes.Length / 2] ^= 4;
        if (damage == "missing")
            File.Delete(folder[SnapshotName]);
        else
            await File.WriteAllBytesAsync(folder[SnapshotName], damage == "torn" ? bytes[..^7] : damage == "emptied" ? [] : bytes);
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        Assert.Equal(40, server.Catalog.Count);
        SampleItems.RequireEqual(sample.Score(older.Inline), Interleaved(await server.Client.RankAsync(older.ById())), 1e-4f);
        Assert.Equal(damage != "missing", server.Log.Holds(LogLevel.Warning, $"snapshot {SnapshotName} is not used"));
    }

    // Cut at every byte: never an exception of another kind, never a catalog of half the items.
    [Fact]
    public void A_snapshot_cut_anywhere_is_refused()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        new CatalogSnapshot(folder.Path, SampleStudent.Model).Write(new(SampleStudent.Model, "5-1", 3, 1, null), [new SampleItems(sample, 3, seed: 1).Batch()]);
        var bytes = File.ReadAllBytes(folder[SnapshotName]);
        Assert.Equal("5-1", CatalogSnapshot.Read(folder[SnapshotName])!.Value.Header.Position);
        for (var length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(folder["cut"], bytes[..length]);
            Assert.Throws<ContractException>(() => CatalogSnapshot.Read(folder["cut"]));
        }
    }

    [Fact]
    public async Task A_bulk_file_is_read_at_the_start_and_when_it_is_replaced_its_faults_told()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        var file = folder["items.jsonl"];
        await File.WriteAllLinesAsync(file, ["""{"id": 1, "features": {"article": 7, "words": 120.5}}""", """{"id": 2, "features": {"article": "seven", "words": 1}}""", """{"id": 3, "features": {"article": 7}}"""]);
        var options = new CatalogOptions { Folder = folder["catalog"], ItemsFile = file };
        await using (var server = await RunningServer.StartAsync(sample, catalog: options))
        {
            Assert.Equal(2, server.Catalog.Count);
            Assert.True(server.Log.Holds(LogLevel.Warning, "line or message 3 of items.jsonl is left out: features: item 3 has 1 features"));
        }
        // The snapshot knows that it was read; another file is read.
        using var again = new SampleStudent("mlp");
        await using (var server = await RunningServer.StartAsync(again, catalog: options))
            Assert.False(server.Log.Holds(LogLevel.Information, "items from items.jsonl"));
        await File.WriteAllLinesAsync(file, ["""{"id": 1, "remove": true}""", """{"id": 9, "features": {"article": 9, "words": 9}}""", ""]);
        using var third = new SampleStudent("mlp");
        await using var replaced = await RunningServer.StartAsync(third, catalog: options);
        Assert.Equal(2, replaced.Catalog.Count);
        Assert.Equal(-1, replaced.Catalog.Index.Find(1));
        Assert.NotEqual(-1, replaced.Catalog.Index.Find(9));
    }

    private static float[] Interleaved(RankReply reply) =>
        [.. Enumerable.Range(0, reply.Targets[0].Logits.Count).SelectMany(n => reply.Targets.Select(t => t.Logits[n]))];
}
