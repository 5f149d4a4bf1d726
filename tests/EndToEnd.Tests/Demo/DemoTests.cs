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
        // A crash of every part, then a plain kill of one that ends well when told to, its work undone.
        (string Part, string Signal, string Said)[] kills =
        [
            .. new[] { "distiller", "serving", "teacher", "redis" }.Select(part => (part, "KILL", "was killed by signal 9")),
            ("teacher", "TERM", "ended"),
        ];
        var killed = 0;
        var output = new List<string>();
        var report = await RunAsync(["--seconds", "60", "--rate", "20", "--candidates", "50"], line =>
        {
            output.Add(line);
            // One after another, each once the first version is served and the part before is back.
            if (killed == kills.Length || !line.StartsWith("Streaming", StringComparison.Ordinal) || line.Contains("version 0 ", StringComparison.Ordinal)
                || (killed > 0 && !Said(kills[killed - 1])))
                return;
            Process.Start("kill", ["-s", kills[killed].Signal, File.ReadAllText(Path.Combine(folder, "run", kills[killed].Part + ".pid"))]).WaitForExit();
            killed++;
        });

        Assert.Equal(kills.Length, killed);
        Assert.All(kills, kill => Assert.True(Said(kill), $"no word of {kill} in\n{string.Join('\n', output)}"));
        Assert.Equal(kills.Length, Number(report, "restarts"));
        Assert.Equal(0, Number(report, "stream", "lost"));
        Assert.True(Number(report, "serving", "requests") > 500, report.ToString());

        bool Said((string Part, string Signal, string Said) kill) => output.Any(l =>
            l.Contains($"{kill.Part} (pid", StringComparison.Ordinal) && l.Contains($"{kill.Said}; starting it again", StringComparison.Ordinal));
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

    private static double Number(JsonObject report, params string[] path) =>
        path.Aggregate((JsonNode?)report, (node, key) => node![key])!.GetValue<double>();
}
