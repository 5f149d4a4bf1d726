using System.Diagnostics;
using System.Text.Json.Nodes;
using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Demo;

/// <summary>The whole path with its real processes, on generated interactions.</summary>
[Collection("whole machine")]
public sealed class DemoTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("kd-demo-").FullName;

    [Fact]
    public async Task Records_are_learned_versions_are_swapped_and_every_request_is_answered()
    {
        var report = await RunAsync("--seconds", "25", "--rate", "50", "--candidates", "100");

        Assert.Equal("synthetic", (string?)report["data"]!["source"]);
        Assert.True(Number(report, "stream", "produced") > 500, report.ToString());
        Assert.Equal(0, Number(report, "stream", "lost"));
        Assert.Equal(0, Number(report, "stream", "dead_lettered"));
        Assert.Equal(Number(report, "stream", "produced"), Number(report, "stream", "consumed"));
        Assert.Equal(Number(report, "stream", "produced"), Number(report, "stream", "acked"));
        Assert.True(Number(report, "refresh", "versions_served") >= 3, report.ToString());
        Assert.Equal(0, Number(report, "serving", "errors"));
        Assert.True(Number(report, "serving", "requests") > 500, report.ToString());
        Assert.True(Number(report, "student", "gauc") > 0.5, report.ToString());
        Assert.Equal(0, Number(report, "restarts"));
    }

    [Fact]
    public async Task Any_part_that_is_killed_is_named_started_again_and_nothing_is_lost()
    {
        var killed = new List<string>();
        var output = new List<string>();
        var report = await RunAsync(["--seconds", "60", "--rate", "20", "--candidates", "50"], line =>
        {
            lock (output)
                output.Add(line);
            // One part after another, each once the first version is served and the previous one is back.
            var next = new[] { "distiller", "serving", "teacher", "redis" }.ElementAtOrDefault(killed.Count);
            var back = killed.Count == 0 ? line.StartsWith("Streaming", StringComparison.Ordinal) && !line.Contains("version 0 ", StringComparison.Ordinal)
                : line.StartsWith("Streaming", StringComparison.Ordinal) && output.Any(l => l.Contains($"{killed[^1]} (pid", StringComparison.Ordinal));
            if (next is null || !back)
                return;
            killed.Add(next);
            Process.GetProcessById(Pid(next)).Kill();
        });

        Assert.Equal(["distiller", "serving", "teacher", "redis"], killed);
        foreach (var part in killed)
            Assert.Contains(output, l => l.Contains($"{part} (pid", StringComparison.Ordinal) && l.Contains("was killed by signal 9; starting it again", StringComparison.Ordinal));
        Assert.Equal(4, Number(report, "restarts"));
        Assert.Equal(0, Number(report, "stream", "lost"));
        Assert.True(Number(report, "serving", "requests") > 500, report.ToString());
    }

    [Fact]
    public async Task A_folder_in_which_a_demo_runs_is_left_alone()
    {
        var run = Directory.CreateDirectory(Path.Combine(folder, "run"));
        var log = Path.Combine(run.FullName, "its.log");
        await File.WriteAllTextAsync(log, "its");
        using var running = new FileStream(Path.Combine(run.FullName, ".kd-demo"), FileMode.Create, FileAccess.Write, FileShare.None);

        var (exit, output) = await StartAsync(["--seconds", "1"], _ => { });

        Assert.Equal(1, exit);
        Assert.Contains(output, l => l.Contains("another demo runs in", StringComparison.Ordinal));
        Assert.True(File.Exists(log));
    }

    [Fact]
    public async Task An_unknown_dataset_is_named_with_the_known_ones()
    {
        var (exit, output) = await StartAsync(["--data", Path.Combine(folder, "no-such-data")], _ => { });

        Assert.Equal(2, exit);
        Assert.Contains(output, l => l.Contains("no-such-data", StringComparison.Ordinal) && l.Contains("globo", StringComparison.Ordinal));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private Task<JsonObject> RunAsync(params string[] arguments) => RunAsync(arguments, _ => { });

    private async Task<JsonObject> RunAsync(string[] arguments, Action<string> seen)
    {
        var path = Path.Combine(folder, "report.json");
        var (exit, output) = await StartAsync([.. arguments, "--report", path], seen);
        Assert.True(exit == 0, $"exit code {exit}\n{string.Join('\n', output)}");
        return JsonNode.Parse(await File.ReadAllTextAsync(path))!.AsObject();
    }

    private async Task<(int Exit, List<string> Output)> StartAsync(string[] arguments, Action<string> seen)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var word in (string[])[Installation.LoadTests, "demo", "--plain", "--folder", Path.Combine(folder, "run"), .. arguments])
            start.ArgumentList.Add(word);
        var output = new List<string>();
        using var demo = new Process { StartInfo = start };
        demo.OutputDataReceived += (_, e) => Line(e.Data);
        demo.ErrorDataReceived += (_, e) => Line(e.Data);
        demo.Start();
        demo.BeginOutputReadLine();
        demo.BeginErrorReadLine();
        await demo.WaitForExitAsync();
        return (demo.ExitCode, output);

        void Line(string? text)
        {
            if (text is null)
                return;
            lock (output)
            {
                output.Add(text);
                seen(text);
            }
        }
    }

    private int Pid(string part) =>
        int.Parse(File.ReadAllText(Path.Combine(folder, "run", part + ".pid")), System.Globalization.CultureInfo.InvariantCulture);

    private static double Number(JsonObject report, params string[] path) =>
        path.Aggregate((JsonNode?)report, (node, key) => node![key])!.GetValue<double>();
}
