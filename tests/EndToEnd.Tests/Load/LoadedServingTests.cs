using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
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
    private static readonly TimeSpan ServingPatience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("--mode closed --concurrency 12 --seconds 1")]
    [InlineData("--mode closed --concurrency 12 --seconds 1 --streams 2")]
    [InlineData("--rates 300 --seconds 2 --connections 2")]
    public async Task Every_request_is_served(string load)
    {
        var (host, schema, model) = await StartAsync();
        await using var _ = host;
        var report = folder["load.json"];

        Assert.Equal(0, await LoadCommand.Create().Parse(
            $"--address http://127.0.0.1:{host.Port} --schema {schema} --model {model} --warm-up 0.5 --candidates 300 --pool 20 {load} --report {report}").InvokeAsync());

        var steps = JsonNode.Parse(await File.ReadAllTextAsync(report))!["steps"]!.AsArray();
        Assert.All(steps, s => Assert.Equal((int)s!["requests"]!, (int)s["served"]!));
        Assert.All(steps, s => Assert.True((int)s!["served"]! > 100));
        var metrics = host.Services.GetRequiredService<RankingMetrics>();
        Assert.Equal(!load.Contains("--streams"), metrics.TakenCalls == metrics.Requests);
    }

    [Fact]
    public async Task A_storm_of_versions_fails_no_request()
    {
        var (host, schema, model) = await StartAsync();
        await using var _ = host;
        var (report, repository) = (folder["storm.json"], new ModelRepository(folder["models"]));
        var before = repository.Versions(model)[^1];
        Assert.Equal(0, await LoadCommand.Create().Parse($"--address http://127.0.0.1:{host.Port} --schema {schema} --model {model} --mode storm --repository {folder["models"]} "
            + $"--rates 200 --seconds 3 --swap-every 0.3 --warm-up 0.5 --candidates 50 --pool 4 --report {report}").InvokeAsync());

        var found = JsonNode.Parse(await File.ReadAllTextAsync(report))!;
        var step = found["steps"]![0]!;
        Assert.Equal((int)step["requests"]!, (int)step["served"]!);
        var counts = Regex.Match((string)found["finding"]!, @"^(\d+) versions published, (\d+) of them seen in replies$");
        var (published, seen) = (int.Parse(counts.Groups[1].Value), int.Parse(counts.Groups[2].Value));
        Assert.InRange(seen, 2, published);
        // Every one that was published was there to be loaded, and the server has gone on to the last of them.
        var newest = repository.Versions(model)[^1];
        Assert.Equal(before + published, newest);
        var slot = host.Services.GetRequiredService<ServableSlot>();
        await Eventually.HoldsAsync(() => Task.FromResult(slot.Current!.Version == newest), () => $"version {slot.Current!.Version} is served, {newest} is published", ServingPatience);
    }

    private async Task<(ServingHost Host, string Schema, string Model)> StartAsync()
    {
        var student = ChaosStudent.Prepare(null, folder["config"], seed: 1);
        SampleVersions.Publish(new(folder["models"]), student);
        var host = await ServingHost.StartAsync(new()
        {
            Repository = folder["models"],
            Model = student.Model,
            Limits = new() { MaxQueueMs = 10_000 },
        }, log => log.ClearProviders());
        var slot = host.Services.GetRequiredService<ServableSlot>();
        await Eventually.HoldsAsync(() => slot.Current is not null, "a version is served", ServingPatience);
        return (host, Path.Combine(new ModelRepository(folder["models"]).Folder(student.Model, 1), "schema.json"), student.Model);
    }
}
