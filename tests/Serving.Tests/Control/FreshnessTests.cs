using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Control.Commands;

namespace KdServing.Serving.Tests.Control;

/// <summary>How fresh the served version is, on the records' own clock; and what one request was scored with.</summary>
public sealed class FreshnessTests : IDisposable
{
    private readonly SampleStudent sample = new("mlp");
    private readonly RedisServer redis = new();

    public void Dispose()
    {
        redis.Dispose();
        sample.Dispose();
    }

    [Fact]
    public async Task Replies_tell_the_age_of_their_version_by_the_time_of_the_records()
    {
        await using var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint);
        var manifest = server.Slot.Current!.Manifest;
        // Written in 2017 by its own account: 90 s after what the version has learned.
        await StreamAsync(new() { RequestId = "x", EventTimeMs = manifest.WatermarkMs + 90_000 });
        var request = sample.Request(candidates: 5, seed: 1);
        await server.Client.RankAsync(request);
        await Eventually.HoldsAsync(() => server.Slot.Current.Health.AgeSeconds is not null, "the newest record is seen");
        var reply = await server.Client.RankAsync(request);
        Assert.Equal(90, reply.ModelAgeSeconds);
        Assert.Equal(1_510_000_000_000, reply.LearnedUntilMs);
        Assert.Equal(server.Slot.Current.Health.FirstReplyMs - reply.LearnedUntilMs, (long)reply.LogitToServedMs);
        Assert.Contains("kd_model_age_seconds 90\n", await server.Http.GetStringAsync(new Uri("metrics", UriKind.Relative)), StringComparison.Ordinal);

        await redis.Database.HashSetAsync(new StreamKeys(SampleStudent.Model).Fidelity, 1, 0.625);
        await Eventually.HoldsAsync(() => server.Slot.Current.Health.Fidelity == 0.625, "what the Distiller finds of the version is known");
    }

    [Fact]
    public async Task A_sampled_request_is_explained()
    {
        await using var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint);
        var request = sample.Request(candidates: 30, seed: 8);
        // The first request is sampled.
        await server.Client.RankAsync(request);
        var logits = sample.Score(request);

        Assert.Equal(["r8"], (await server.Control.ExplainAsync(new())).SampledIds);
        var explained = await server.Control.ExplainAsync(new() { RequestId = "r8", TopK = 30 });
        Assert.Equal((1, 30), (explained.Version, explained.Candidates.Count));
        var user = sample.Schema.User.Features.Single(f => f.Name == "user_id");
        Assert.Equal(user.Row(request.User.Single(c => c.Name == "user_id").Ints.Value[0]), explained.User.Single(f => f.Feature == "user_id").Rows.Single());
        var article = sample.Schema.Item.Features.Single(f => f.Name == "article");
        var ids = request.Item.Single(c => c.Name == "article").Ints.Value;
        foreach (var candidate in explained.Candidates)
        {
            Assert.Equal(logits[candidate.Index * 2], candidate.Logits[0], 1e-4f);
            Assert.Equal(article.Row(ids[candidate.Index]), candidate.Features.Single(f => f.Feature == "article").Rows.Single());
        }
        Assert.Equal(explained.Candidates.OrderByDescending(c => c.Logits[0]).Select(c => c.Index), explained.Candidates.Select(c => c.Index));

        // The teacher prefers them the other way round.
        var record = new TeacherRecord { RequestId = "r8", EventTimeMs = 1, CandidateCount = 30 };
        record.Outputs.Add(new TeacherOutput { Teacher = "big", TeacherVersion = 7, Target = "click", Logits = { Enumerable.Range(0, 30).Select(n => -logits[n * 2]) } });
        await StreamAsync(record);
        var text = Run("r8", "--control", $"127.0.0.1:{server.Host.ControlPort}", "--redis", redis.Endpoint, "--top-k", "1");
        Assert.Contains("answered", text, StringComparison.Ordinal);
        Assert.Contains("teacher big version 7", text, StringComparison.Ordinal);
        Assert.Contains("rank 30", text, StringComparison.Ordinal);
    }

    private Task StreamAsync(TeacherRecord record) =>
        redis.Database.ExecuteAsync("XADD", new StreamKeys(SampleStudent.Model).Logits, "*", LogitEntry.FormatField, "1", LogitEntry.RecordField, record.ToByteArray());

    private static string Run(params string[] arguments)
    {
        using var output = new StringWriter();
        Assert.Equal(0, ExplainCommand.Create().Parse(arguments).Invoke(new() { Output = output, Error = output }));
        return output.ToString();
    }
}
