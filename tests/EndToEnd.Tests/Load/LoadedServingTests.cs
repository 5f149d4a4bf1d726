using System.Diagnostics;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.LoadTests.Chaos;
using KdServing.LoadTests.Load;
using KdServing.Serving;
using KdServing.Serving.Models;
using KdServing.Serving.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace KdServing.EndToEnd.Tests.Load;

/// <summary>The load tester, which writes and reads HTTP/2 itself, and the server, which does so too: neither fails the other.</summary>
public sealed class LoadedServingTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("--mode closed --concurrency 12 --seconds 1")]
    [InlineData("--mode closed --concurrency 12 --seconds 1 --streams 2")]
    [InlineData("--rates 300 --seconds 2 --connections 2")]
    public async Task Every_request_is_served(string load)
    {
        var student = ChaosStudent.Prepare(null, folder["config"], seed: 1);
        SampleVersions.Publish(new(folder["models"]), student);
        await using var host = await ServingHost.StartAsync(new() { Repository = folder["models"], Model = student.Model, Limits = new() { MaxQueueMs = 10_000 } }, log => log.ClearProviders());
        var slot = host.Services.GetRequiredService<ServableSlot>();
        for (var clock = Stopwatch.StartNew(); slot.Current is null; await Task.Delay(10))
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), "no version is served");
        var schema = Path.Combine(new ModelRepository(folder["models"]).Folder(student.Model, 1), "schema.json");
        var report = folder["load.json"];

        Assert.Equal(0, await LoadCommand.Create().Parse(
            $"--address http://127.0.0.1:{host.Port} --schema {schema} --model {student.Model} --warm-up 0.5 --candidates 300 --pool 20 {load} --report {report}").InvokeAsync());

        var steps = JsonNode.Parse(await File.ReadAllTextAsync(report))!["steps"]!.AsArray();
        Assert.All(steps, s => Assert.Equal((int)s!["requests"]!, (int)s["served"]!));
        Assert.All(steps, s => Assert.True((int)s!["served"]! > 100));
        var metrics = host.Services.GetRequiredService<RankingMetrics>();
        Assert.Equal(!load.Contains("--streams"), metrics.TakenCalls == metrics.Requests);
    }
}
