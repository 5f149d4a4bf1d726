using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Tests.Training;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Calibration;

/// <summary>A teacher that changes its scale in the middle of a stream: the whole loop over a real Redis, its checkpoints and versions.</summary>
public sealed class TeacherChangeTests(RedisServer redis) : IClassFixture<RedisServer>, IDisposable
{
    private const string Student = """{ "family": "mlp", "first_layer": 16, "hidden": [8] }""";
    private const int Change = 3200;

    private readonly TemporaryFolder folder = new();
    private readonly string model = $"m{Guid.NewGuid():N}"[..12];

    private StreamKeys Keys => new(model);

    public void Dispose() => folder.Dispose();

    // Both runs, so that the bound could be broken: without calibration the student follows the new scale.
    [Fact]
    public async Task Scores_do_not_jump_with_the_teacher_s_version()
    {
        var jumps = new Dictionary<bool, double>();
        foreach (var enabled in (bool[])[true, false])
        {
            await redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Journal]);
            var home = folder[enabled ? "on" : "off"];
            // Stopped on the way: only what a published version scores is evaluated, and publishing takes the time it takes.
            await WriteAsync(0, Change / 2);
            await RunAsync(home, enabled);
            await WriteAsync(Change / 2, Change / 2);
            await RunAsync(home, enabled);
            var before = MeanScore(home);
            await WriteAsync(Change, 1600);
            var status = await RunAsync(home, enabled);
            jumps[enabled] = MeanScore(home) - before;

            var kept = status.GetProperty("teacher_calibration").EnumerateArray().ToList();
            Assert.Equal([1, 2], kept.Select(v => v.GetProperty("version").GetInt64()));
            var scale = kept[1].GetProperty("map").GetProperty("scale").GetDouble();
            Assert.InRange(scale, enabled ? 0.45 : 1, enabled ? 0.55 : 1);
            var versions = status.GetProperty("by_teacher_version").EnumerateArray().ToList();
            Assert.Equal([1, 2], versions.Select(v => v.GetProperty("version").GetInt64()));
            var calibration = versions.Select(v => v.GetProperty("scorers").GetProperty("teacher").GetProperty("calibration").GetDouble()).ToList();
            // As the stream brought it: what is told of the teacher is not what was made of it.
            Assert.InRange(calibration[0], 0.95, 1.05);
            Assert.InRange(calibration[1], 1.1, 2);
        }

        Assert.InRange(Math.Abs(jumps[true]), 0, 0.1);
        Assert.True(jumps[false] > 0.25, $"without calibration the mean logit moved by {jumps[false]:0.000}, with it by {jumps[true]:0.000}");
    }

    // Stopped in the middle of the new version's window, against a run that never stopped.
    [Fact]
    public async Task A_restart_across_the_change_makes_no_difference_and_every_version_can_be_rebuilt()
    {
        await WriteAsync(0, Change + 320);
        await RunAsync(folder["two"], enabled: true);
        await WriteAsync(Change + 320, 640);
        await RunAsync(folder["two"], enabled: true);
        await redis.Database.KeyDeleteAsync([Keys.Logits, Keys.Journal]);
        await WriteAsync(0, Change + 960);
        await RunAsync(folder["one"], enabled: true);

        foreach (var file in (string[])[Checkpointing.StudentFile, Checkpointing.CalibrationFile])
            Assert.Equal(File.ReadAllBytes(Checkpoint(folder["one"], file)), File.ReadAllBytes(Checkpoint(folder["two"], file)));
        var repository = new ModelRepository(Path.Combine(folder["two"], "repository"));
        var newest = repository.Manifest(model, repository.Versions(model)[^1]);
        Assert.Equal([1, 2], newest.Teachers!.Select(t => t.Version));
        Assert.Equal(1, newest.Teachers![0].Maps["click"].Scale);
        Assert.InRange(newest.Teachers[1].Maps["click"].Scale, 0.4, 0.6);
        Assert.Equal(2, newest.TeacherVersions["ranker"]);
        foreach (var version in repository.Versions(model))
        {
            Assert.Null(ReplayCommand.Run(Impressions.Schema, StudentConfig.Parse(Student), Config(enabled: true), Path.Combine(folder["two"], "repository"),
                Path.Combine(folder["two"], "state"), version, null).Difference);
        }
    }

    private async Task WriteAsync(int first, int count)
    {
        for (var r = first; r < first + count; r++)
        {
            var record = Impressions.Record(r);
            var isNew = r >= Change;
            var logits = record.Outputs[0].Logits.Select(t => isNew ? 2 * t + 1 : t).ToArray();
            record.Outputs[0] = new() { Teacher = "ranker", Target = "click", TeacherVersion = isNew ? 2 : 1, Logits = { logits } };
            await redis.Database.ExecuteAsync("XADD", Keys.Logits, "*", "v", 1, "r", record.ToByteArray());
        }
    }

    private async Task<JsonElement> RunAsync(string home, bool enabled)
    {
        await using var loop = new DistillationLoop(Impressions.Schema, StudentConfig.Parse(Student), Config(enabled),
            new(redis.Endpoint, Path.Combine(home, "repository"), Path.Combine(home, "state"), Path.Combine(home, "status.json"), null, 0.7), redis.Database);
        Directory.CreateDirectory(home);
        await Task.Run(() => loop.RunAsync(CancellationToken.None), CancellationToken.None);
        return JsonDocument.Parse(File.ReadAllBytes(Path.Combine(home, "status.json"))).RootElement;
    }

    private DistillerConfig Config(bool enabled) => DistillerConfig.Parse($$"""
        { "model": "{{model}}", "batch_records": 16, "idle_seconds": 0.3, "refresh": { "seconds": null, "records": 500, "base_every": 3 },
          "teacher_calibration": { "enabled": {{(enabled ? "true" : "false")}}, "window_records": 1000 }, "hard_label": { "weight": 0.1 },
          "kd": [ { "loss_type": "BINARY_CROSS_ENTROPY_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ] }
        """);

    // Mean logit of impressions that are never learned, by the weights of the newest checkpoint: those of the last version.
    private double MeanScore(string home)
    {
        var shape = StudentConfig.Parse(Student);
        var config = Config(enabled: true);
        using var learner = new Learner(Impressions.Schema, shape, config.Optimizer, config.Seed, Method.Create(Impressions.Schema, shape, config));
        LearnerState.Restore([(Checkpoint(home, Checkpointing.StudentFile), "")], learner);
        var batch = new FeatureBatch(Impressions.Schema, []);
        for (var r = 90_000; r < 90_200; r++)
            batch.Add(Impressions.Record(r));
        var logits = new float[batch.Candidates];
        learner.Score(batch, logits);
        return logits.Average();
    }

    private static string Checkpoint(string home, string file) =>
        Path.Combine(Directory.GetDirectories(Path.Combine(home, "state", "checkpoints")).Order().Last(), file);
}
