using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using StackExchange.Redis;

namespace KdServing.Distiller.Tests.Training;

/// <summary>A model of its own in a real Redis, a real repository and real checkpoints; a Distiller is run on it once or again.</summary>
public abstract class DistillationRuns(RedisServer redis) : IClassFixture<RedisServer>, IDisposable
{
    protected const string Student = """{ "family": "two_tower", "user_tower": [8], "item_tower": [8], "live_net": [4] }""";

    private long entryClock;

    protected RedisServer Redis => redis;

    protected TemporaryFolder Folder { get; } = new();

    protected string Model { get; } = $"m{Guid.NewGuid():N}"[..12];

    protected string Repository => Folder["repository"];

    protected string State => Folder["state"];

    protected StreamKeys Keys => new(Model);

    public void Dispose()
    {
        Folder.Dispose();
        GC.SuppressFinalize(this);
    }

    protected async Task WriteAsync(int first, int count)
    {
        for (var r = first; r < first + count; r++)
            await AppendAsync("v", 1, "r", Impressions.Record(r).ToByteArray());
    }

    // Ids in the order of writing: entries of two streams written within a millisecond would be merged by chance.
    protected async Task WriteClockedAsync(int first, int count, bool labelled)
    {
        for (var r = first; r < first + count; r++)
        {
            var record = Impressions.Record(r);
            if (!labelled)
                record.Labels.Clear();
            await Redis.Database.ExecuteAsync("XADD", Keys.Logits, $"{++entryClock}-0", "v", 1, "r", record.ToByteArray());
        }
    }

    protected async Task WriteLabelsAsync(int first, int count, int sequence = 0)
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
            await Redis.Database.ExecuteAsync("XADD", Keys.Labels, $"{++entryClock}-0", "v", 1, "r", labels.ToByteArray());
        }
    }

    protected Task AppendAsync(params object[] fields) => Redis.Database.ExecuteAsync("XADD", [Keys.Logits, "*", .. fields]);

    protected async Task<JsonElement> RunAsync(double? untilIdleSeconds = 0.7, double checkpointSeconds = 0.3, string? state = null, string? repository = null,
        FeatureSchema? schema = null, int shards = 1, bool acceptLoss = false, bool labels = false, string refresh = """{ "seconds": 0.3 }""", CancellationToken stop = default)
    {
        var config = Config(checkpointSeconds, shards, labels, refresh);
        await using var loop = new DistillationLoop(schema ?? Impressions.Schema, StudentConfig.Parse(Student), config,
            new(Redis.Endpoint, repository ?? Repository, state ?? State, Folder["status.json"], null, untilIdleSeconds) { AcceptLoss = acceptLoss }, Redis.Database);
        await Task.Run(() => loop.RunAsync(stop), CancellationToken.None);
        return Status();
    }

    protected DistillerConfig Config(double checkpointSeconds = 0.3, int shards = 1, bool labels = false, string refresh = """{ "seconds": 0.3 }""") =>
        DistillerConfig.Parse($$"""
            { "model": "{{Model}}", "shards": {{shards}}, "labels": {{(labels ? "{}" : "null")}}, "batch_records": 16, "idle_seconds": 0.3,
              "refresh": {{refresh}}, "checkpoint": { "every_seconds": {{checkpointSeconds}} },
              "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ] }
            """);

    protected JsonElement Status() => JsonDocument.Parse(File.ReadAllBytes(Folder["status.json"])).RootElement;

    protected Task UntilAsync(Func<JsonElement, bool> condition) =>
        Eventually.HoldsAsync(() => Task.FromResult(File.Exists(Folder["status.json"]) && condition(Status())), () => $"{Status()}");

    protected async Task<List<string>> DeadLettersAsync()
    {
        var entries = (RedisResult[])(await Redis.Database.ExecuteAsync("XRANGE", Keys.DeadLetters, "-", "+"))!;
        return [.. entries.Select(e => (string)((RedisResult[])((RedisResult[])e!)[1]!)[3]!)];
    }

    protected static byte[] Weights(string state) =>
        File.ReadAllBytes(Path.Combine(Directory.GetDirectories(Path.Combine(state, "checkpoints")).Order().Last(), "student.safetensors"));

    protected static long Number(JsonElement status, string name) => status.GetProperty(name).GetInt64();
}
