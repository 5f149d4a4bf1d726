using System.Text.Json;
using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Tests.Catalog;

namespace KdServing.Serving.Tests.Accelerators;

/// <summary>A whole server whose versions and item vectors are on a device.</summary>
public sealed class DeviceServerTests : IDisposable
{
    private const int Items = 300;

    private readonly HostAccelerator device = new();
    private readonly TemporaryFolder folder = new();

    public void Dispose()
    {
        folder.Dispose();
        Assert.Equal(0, device.Bytes);
        Assert.Equal(0, device.Streams);
    }

    [Theory]
    [InlineData("mlp", ItemVectorFormat.Float32, 1e-5f)]
    [InlineData("two_tower", ItemVectorFormat.Float32, 1e-5f)]
    [InlineData("mlp", ItemVectorFormat.BFloat16, 0.02f)]
    public async Task Ranking_by_ids_equals_ranking_by_features(string family, ItemVectorFormat format, float tolerance)
    {
        using var sample = new SampleStudent(family);
        await using var server = await StartAsync(sample, format);
        var items = new SampleItems(sample, Items, seed: 7);
        await server.Catalog.ApplyAsync(items.Batch());

        await RequireEqualAsync(server, items, tolerance);
        Assert.Equal(ScoringEngine.Device, server.Slot.Current!.Engine);
        Assert.Equal(0, server.Catalog.Figures().EncodedByRequests);
        Assert.True(server.Catalog.Figures().DeviceVectorBytes > 0);
        var status = JsonDocument.Parse(await server.Http.GetStringAsync("status.json")).RootElement;
        Assert.Equal("Device", status.GetProperty("engine").GetString());
        Assert.True(status.GetProperty("device_bytes").GetInt64() > 0);

        sample.Learn(seed: 3);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        await server.Catalog.FilledAsync();
        await RequireEqualAsync(server, items, tolerance);
        Assert.Equal(ScoringEngine.Device, server.Slot.Current!.Engine);
    }

    [Fact]
    public async Task Vectors_that_are_not_there_yet_are_made_by_the_request()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, ItemVectorFormat.Float32, waitLimit: TimeSpan.FromMilliseconds(1));
        var items = new SampleItems(sample, Items, seed: 7);
        await server.Catalog.ApplyAsync(items.Batch());
        await server.Catalog.FilledAsync();
        using var gate = new StepGate(server.Catalog, steps: 0);
        sample.Learn(seed: 3);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);

        await RequireEqualAsync(server, items, 1e-5f);
        Assert.True(server.Catalog.Figures().EncodedByRequests > 0);
    }

    [Fact]
    public async Task Unknown_items_get_the_same_score_as_on_the_processor()
    {
        var replies = new List<RankReply>();
        foreach (var accelerator in (HostAccelerator?[])[null, device])
        {
            using var sample = new SampleStudent("mlp");
            using var catalog = new TemporaryFolder();
            var items = new SampleItems(sample, 20, seed: 9);
            await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = catalog.Path }, change: o => o with { Accelerator = accelerator });
            await server.Catalog.ApplyAsync(items.Batch());
            var request = items.ById(raw: false);
            request.Catalog.Ints.Value[5] = 999_999;
            replies.Add(await server.Client.RankAsync(request));
        }
        SampleItems.RequireEqual(replies[0].Targets[0].Logits, replies[1].Targets[0].Logits);
    }

    [Fact]
    public async Task A_device_that_fails_fails_no_request()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await StartAsync(sample, ItemVectorFormat.Float32);
        server.Log.Expect("the device does not score any more");
        var items = new SampleItems(sample, Items, seed: 7);
        await server.Catalog.ApplyAsync(items.Batch());

        device.IsBroken = true;
        var byId = await server.Client.RankAsync(items.ById());
        var inline = await server.Client.RankAsync(items.Inline);
        SampleItems.RequireEqual(inline.Targets[0].Logits, byId.Targets[0].Logits);
        Assert.NotEqual(ScoringEngine.Device, server.Slot.Current!.Engine);
        // What arrives now has no row on the device.
        await server.Catalog.ApplyAsync(new SampleItems(sample, Items, seed: 8, firstId: 5000).Batch());
        sample.Learn(seed: 3);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        await RequireEqualAsync(server, items, 1e-5f);
    }

    private Task<RunningServer> StartAsync(SampleStudent sample, ItemVectorFormat format, TimeSpan? waitLimit = null) => RunningServer.StartAsync(sample,
        catalog: new() { Folder = folder.Path, Format = format, WaitLimit = waitLimit ?? TimeSpan.FromSeconds(20) }, change: o => o with { Accelerator = device });

    private static async Task RequireEqualAsync(RunningServer server, SampleItems items, float tolerance)
    {
        var inline = await server.Client.RankAsync(items.Inline);
        var byId = await server.Client.RankAsync(items.ById());
        for (var t = 0; t < inline.Targets.Count; t++)
            SampleItems.RequireEqual(inline.Targets[t].Logits, byId.Targets[t].Logits, tolerance);
    }
}
