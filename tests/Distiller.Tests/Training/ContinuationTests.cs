using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Tests.Training;

/// <summary>A Distiller goes on from checkpoints, journal and streams, or says why it can not.</summary>
public sealed class ContinuationTests(RedisServer redis) : DistillationRuns(redis)
{
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
        await Redis.Database.KeyDeleteAsync(Keys.Logits);
        await WriteAsync(0, 1280);
        await RunAsync(state: Folder["other-state"], repository: Folder["other-repository"]);
        Assert.Equal(Weights(Folder["other-state"]), Weights(State));
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

    // Through two lives, bases and deltas, held by nothing but checkpoints and what lies beside them.
    [Fact]
    public async Task Every_kept_version_can_be_rebuilt_bit_for_bit()
    {
        await WriteAsync(0, 640);
        await RunAsync(refresh: """{ "seconds": null, "records": 100, "base_every": 3 }""");
        await WriteAsync(640, 320);
        await RunAsync(refresh: """{ "seconds": null, "records": 100, "base_every": 3 }""");
        await Redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Journal]);

        var versions = new ModelRepository(Repository).Versions(Model);
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
        await Redis.Database.ExecuteAsync("XTRIM", Keys.Logits, "MAXLEN", 100);

        var fault = await Assert.ThrowsAsync<ContractException>(() => RunAsync());
        Assert.Contains("--accept-loss", fault.Reason, StringComparison.Ordinal);

        var status = await RunAsync(acceptLoss: true);
        Assert.True(Number(status, "lost") > 0);
        Assert.Equal("stopped", status.GetProperty("phase").GetString());
    }
}
