using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

/// <summary>A loop that ends by an exception, as one that has lost its model does, beside what it left in the making.</summary>
public sealed class LoopEndTests(RedisServer redis) : IClassFixture<RedisServer>, IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    // Its writer reads tables that are freed with the loop.
    [Theory]
    [InlineData("checkpoint file")]
    [InlineData("judged")]
    public async Task It_frees_nothing_that_is_still_being_read(string step)
    {
        var model = $"m{Guid.NewGuid():N}"[..12];
        for (var r = 0; r < 2000; r++)
            await redis.Database.ExecuteAsync("XADD", new StreamKeys(model).Logits, "*", "v", 1, "r", Impressions.Record(r).ToByteArray());
        using var reached = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        var config = DistillerConfig.Parse($$"""
            { "model": "{{model}}", "batch_records": 16, "idle_seconds": 0.3, "refresh": { "seconds": 0.01 }, "checkpoint": { "every_seconds": 0.01 },
              "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ] }
            """);
        var loop = new DistillationLoop(Impressions.Schema, StudentConfig.Parse("""{ "family": "two_tower", "user_tower": [8], "item_tower": [8], "live_net": [4] }"""), config,
            new(redis.Endpoint, folder["repository"], folder["state"], null, null, UntilIdleSeconds: 60)
            {
                AtStep = at =>
                {
                    if (at == step)
                    {
                        reached.Set();
                        release.Wait();
                    }
                    else if (at == "learned" && reached.IsSet)
                        throw new OwnershipLostException("taken over");
                },
            }, redis.Database);
        await Assert.ThrowsAsync<OwnershipLostException>(() => Task.Run(() => loop.RunAsync(CancellationToken.None)));

        var ending = loop.DisposeAsync().AsTask();
        Assert.False(ending.IsCompleted);
        release.Set();
        await ending;

        Assert.Empty(Directory.EnumerateDirectories(folder["state/checkpoints"], ".*"));
        Assert.NotEmpty(new CheckpointStore(folder["state/checkpoints"], keep: 3).Whole(Assert.Fail));
    }
}
