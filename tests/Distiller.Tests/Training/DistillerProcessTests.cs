using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Checkpoints;

namespace KdServing.Distiller.Tests.Training;

/// <summary>The program itself: killed, told to stop, misconfigured, and with Redis going away under it.</summary>
public sealed class DistillerProcessTests : IDisposable
{
    private const string Model = "killed";

    private readonly TemporaryFolder folder = new();
    private readonly List<Process> processes = [];

    public DistillerProcessTests()
    {
        File.WriteAllText(folder["schema.json"], Impressions.Schema.Json);
        File.WriteAllText(folder["student.json"], """{ "family": "mlp", "first_layer": 16, "hidden": [8] }""");
        File.WriteAllText(folder["distiller.json"], $$"""
            { "model": "{{Model}}", "batch_records": 16, "idle_seconds": 1, "refresh": { "seconds": 0.5 }, "checkpoint": { "every_seconds": 0.1 },
              "kd": [ { "loss_type": "KL_DIVERGENCE_LOSS", "pred_name": "logits", "soft_label_name": "ranker/click" } ] }
            """);
    }

    public void Dispose()
    {
        foreach (var process in processes.Where(p => !p.HasExited))
            process.Kill();
        folder.Dispose();
    }

    // kill -9 in the middle, then again: what is learned in the end is bit for bit what an undisturbed run learns.
    [Fact]
    public async Task Killed_and_started_again_it_loses_nothing_and_applies_nothing_twice()
    {
        using var redis = new RedisServer();
        const int Records = 16 * 1500;
        await WriteAsync(redis, 0, Records);
        for (var kill = 1; kill <= 2; kill++)
        {
            var (victim, _) = Start(redis, "a");
            await UntilAsync(() => Checkpoints("a").Count > 0 && Learned("a") >= kill * 800, victim);
            victim.Kill();
            await victim.WaitForExitAsync();
            Assert.True(Learned("a") < Records, "it was done before it was killed");
        }
        var (last, _) = Start(redis, "a", "--until-idle-seconds", "2");
        await last.WaitForExitAsync();

        Assert.Equal(0, last.ExitCode);
        Assert.Equal(Records, Number("a", "consumed"));
        Assert.Equal(Records, Number("a", "acked"));
        Assert.Equal(0, Number("a", "missing"));

        await redis.Database.KeyDeleteAsync(new StreamKeys(Model).Logits);
        await WriteAsync(redis, 0, Records);
        var (undisturbed, _) = Start(redis, "b", "--until-idle-seconds", "2");
        await undisturbed.WaitForExitAsync();
        Assert.Equal(Weights("b"), Weights("a"));
    }

    [Fact]
    public async Task Told_to_stop_it_checkpoints_publishes_and_ends_well()
    {
        using var redis = new RedisServer();
        await WriteAsync(redis, 0, 100);
        var (process, _) = Start(redis, "a");
        await UntilAsync(() => Number("a", "consumed") == 100, process);

        Process.Start("kill", ["-TERM", $"{process.Id}"]).WaitForExit();
        await process.WaitForExitAsync();

        Assert.Equal(0, process.ExitCode);
        Assert.Equal(100, Number("a", "acked"));
        Assert.True(Number("a", "versions_published") > 0);
    }

    [Fact]
    public async Task Redis_away_is_waited_for_at_the_start_and_in_the_middle()
    {
        using var redis = RedisServer.Durable();
        await WriteAsync(redis, 0, 50);
        redis.Kill();
        var (process, output) = Start(redis, "a");
        await UntilAsync(() => Text(output).Contains($"waiting for Redis at {redis.Endpoint}", StringComparison.Ordinal), process);
        redis.Restart();
        await UntilAsync(() => Number("a", "consumed") == 50, process);

        redis.Kill();
        await UntilAsync(() => Status("a").GetProperty("phase").GetString() == "waiting", process);
        redis.Restart();
        await WriteAsync(redis, 50, 50);
        await UntilAsync(() => Number("a", "acked") == 100, process);

        Assert.Equal(0, Number("a", "missing"));
        Assert.Equal(0, Number("a", "repeats"));
    }

    [Theory]
    [InlineData("distiller.json", """{ "model": "x", "batch_recrods": 3 }""", "batch_recrods")]
    [InlineData("distiller.json", """{ "model": "x", "batch_records": 0 }""", "batch_records")]
    [InlineData("distiller.json", """{ "model": "x", "kd": null }""", "kd")]
    [InlineData("distiller.json", """{ "model": "../x" }""", "model")]
    [InlineData("distiller.json", """{ "model": "x", "hard_label": { "origins": ["shown"] } }""", "hard_label.origins[0]")]
    [InlineData("student.json", """{ "family": "mlp" }""", "first_layer")]
    [InlineData("schema.json", """{ "name": "x" }""", "targets")]
    public async Task A_bad_file_is_named_and_the_exit_code_is_2(string file, string json, string named)
    {
        File.WriteAllText(folder[file], json);
        var (process, output) = Start("127.0.0.1:1", "a");
        await process.WaitForExitAsync();

        Assert.Equal(2, process.ExitCode);
        Assert.Contains(named, Text(output), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_option_ends_with_exit_code_2()
    {
        var (process, _) = Start("127.0.0.1:1", "a", "--bogus");
        await process.WaitForExitAsync();

        Assert.Equal(2, process.ExitCode);
    }

    private (Process Process, StringBuilder Output) Start(RedisServer redis, string name, params string[] more) => Start(redis.Endpoint, name, more);

    private (Process Process, StringBuilder Output) Start(string endpoint, string name, params string[] more)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var argument in (string[])[typeof(DistillerLog).Assembly.Location, "--config", folder["distiller.json"], "--redis", endpoint,
            "--repository", folder[$"{name}-repository"], "--state", folder[$"{name}-state"], "--status", folder[$"{name}-status.json"], .. more])
            start.ArgumentList.Add(argument);
        var process = Process.Start(start)!;
        processes.Add(process);
        var output = new StringBuilder();
        process.OutputDataReceived += (_, line) => Append(line.Data);
        process.ErrorDataReceived += (_, line) => Append(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return (process, output);

        void Append(string? line)
        {
            lock (output)
                output.AppendLine(line);
        }
    }

    private static string Text(StringBuilder output)
    {
        lock (output)
            return output.ToString();
    }

    private static async Task WriteAsync(RedisServer redis, int first, int count)
    {
        // A connection of its own: one that has just lost its server refuses for a moment.
        var database = redis.Connect().GetDatabase();
        var key = new StreamKeys(Model).Logits;
        var pending = new List<Task>();
        for (var r = first; r < first + count; r++)
            pending.Add(database.ExecuteAsync("XADD", key, "*", "v", 1, "r", Impressions.Record(r).ToByteArray()));
        await Task.WhenAll(pending);
    }

    private async Task UntilAsync(Func<bool> condition, Process process)
    {
        var holds = false;
        await Eventually.HoldsAsync(() => (holds = condition()) || process.HasExited, "the Distiller gets there", patience: TimeSpan.FromSeconds(90));
        Assert.True(holds, "the Distiller ended before");
    }

    private JsonElement Status(string name)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(folder[$"{name}-status.json"]));
        return json.RootElement.Clone();
    }

    // -1 until there is a status.
    private long Number(string name, string field) =>
        File.Exists(folder[$"{name}-status.json"]) ? Status(name).GetProperty(field).GetInt64() : -1;

    private byte[] Weights(string name) => File.ReadAllBytes(Path.Combine(Checkpoints(name)[^1], "student.safetensors"));

    // Records in the newest checkpoint; it may be gone the moment it is found.
    private long Learned(string name)
    {
        try
        {
            return CheckpointManifest.Parse(File.ReadAllBytes(Path.Combine(Checkpoints(name)[^1], CheckpointManifest.FileName))).Counters.Consumed;
        }
        catch (DirectoryNotFoundException)
        {
            return 0;
        }
    }

    private List<string> Checkpoints(string name)
    {
        var root = Path.Combine(folder[$"{name}-state"], "checkpoints");
        return Directory.Exists(root) ? [.. Directory.GetDirectories(root).Where(p => !Path.GetFileName(p).StartsWith('.')).Order()] : [];
    }
}
