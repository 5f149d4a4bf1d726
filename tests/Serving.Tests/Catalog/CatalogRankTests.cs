using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>Ranking by item ids over gRPC: the same scores as with the items' features inline.</summary>
public sealed class CatalogRankTests
{
    private const int Items = 300;

    [Theory]
    [InlineData("mlp", true)]
    [InlineData("mlp", false)]
    [InlineData("two_tower", true)]
    public async Task Ranking_by_ids_equals_ranking_by_features(string family, bool raw)
    {
        using var sample = new SampleStudent(family);
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        var items = new SampleItems(sample, Items, seed: 7);
        await server.Catalog.ApplyAsync(items.Batch());
        var inline = await server.Client.RankAsync(items.Inline);
        var byId = await server.Client.RankAsync(items.ById(raw));
        for (var t = 0; t < inline.Targets.Count; t++)
            SampleItems.RequireEqual(inline.Targets[t].Logits, byId.Targets[t].Logits);
        Assert.Empty(byId.Unknown);
        var best = items.ById(raw);
        best.TopK = 10;
        items.Inline.TopK = 10;
        Assert.Equal((await server.Client.RankAsync(items.Inline)).Index, (await server.Client.RankAsync(best)).Index);
    }

    [Fact]
    public async Task Vectors_of_half_the_memory_score_nearly_the_same()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path, Format = ItemVectorFormat.BFloat16 });
        var items = new SampleItems(sample, Items, seed: 8);
        await server.Catalog.ApplyAsync(items.Batch());
        var inline = await server.Client.RankAsync(items.Inline);
        var byId = await server.Client.RankAsync(items.ById());
        SampleItems.RequireEqual(inline.Targets[0].Logits, byId.Targets[0].Logits, tolerance: 0.02f);
        Assert.NotEqual(inline.Targets[0].Logits, byId.Targets[0].Logits);
    }

    [Fact]
    public async Task Unknown_items_are_scored_as_the_average_item()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        var items = new SampleItems(sample, Items, seed: 9);
        await server.Catalog.ApplyAsync(items.Batch());
        // The cold-start vector is made when a version is prepared: of the items of then.
        sample.Learn(seed: 2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        var request = items.ById(raw: false);
        request.Catalog.Ints.Value[5] = 999_999;
        request.Catalog.Ints.Value[6] = 888_888;
        // Two unknown candidates with the same live features are the same candidate.
        foreach (var column in request.Item)
        {
            if (column.Floats is { } floats)
                floats.Value[6] = floats.Value[5];
            else
                column.Ints.Value[6] = column.Ints.Value[5];
        }
        var reply = await server.Client.RankAsync(request);
        Assert.Empty(reply.Unknown);
        Assert.Equal(Items, reply.Targets[0].Scores.Count);
        Assert.Equal(reply.Targets[0].Logits[5], reply.Targets[0].Logits[6]);
        var known = await server.Client.RankAsync(items.ById());
        Assert.NotEqual(known.Targets[0].Logits[5], reply.Targets[0].Logits[5]);
        Assert.Equal(known.Targets[0].Logits[4], reply.Targets[0].Logits[4]);
        Assert.Equal(2, server.Catalog.Figures().UnknownCandidates);
    }

    [Fact]
    public async Task Unknown_items_are_reported_when_the_request_says_so()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        var items = new SampleItems(sample, 20, seed: 10);
        await server.Catalog.ApplyAsync(items.Batch());
        await server.Catalog.ApplyAsync(new() { Remove = { items.Ids[3], items.Ids[17] } });
        var request = items.ById(unknown: UnknownItems.Report);
        var all = await server.Client.RankAsync(request);
        Assert.Equal([3, 17], all.Unknown);
        Assert.Equal(float.NegativeInfinity, all.Targets[0].Logits[3]);
        Assert.Equal(0, all.Targets[1].Scores[17]);
        Assert.True(float.IsFinite(all.Targets[0].Logits[4]));
        request.TopK = 20;
        var best = await server.Client.RankAsync(request);
        Assert.Equal(18, best.Index.Count);
        Assert.Equal(18, best.Targets[0].Scores.Count);
        Assert.DoesNotContain(3, best.Index);
        Assert.DoesNotContain(17, best.Index);
    }

    [Fact]
    public async Task A_request_of_unknown_items_alone_has_no_best()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        var request = new SampleItems(sample, 5, seed: 11).ById(unknown: UnknownItems.Report);
        request.TopK = 2;
        var reply = await server.Client.RankAsync(request);
        Assert.Equal([0, 1, 2, 3, 4], reply.Unknown);
        Assert.Empty(reply.Index);
        Assert.Empty(reply.Targets[0].Scores);
    }

    [Fact]
    public async Task Wrong_catalog_requests_are_refused_in_words()
    {
        using var sample = new SampleStudent("mlp");
        using var folder = new TemporaryFolder();
        await using var server = await RunningServer.StartAsync(sample, catalog: new() { Folder = folder.Path });
        var items = new SampleItems(sample, 5, seed: 12);
        await RefusedAsync(server, items, r => r.Catalog.Ints.Value.RemoveAt(0), "catalog.ints: has 4 ids for 5 candidates");
        await RefusedAsync(server, items, r => r.Catalog.RawInt64 = Google.Protobuf.ByteString.CopyFrom(new byte[39]), "catalog.raw_int64: has 39 bytes, expected 40");
        await RefusedAsync(server, items, r => r.Catalog.ClearIds(), "catalog: holds no ids");
        await RefusedAsync(server, items, r => r.Item.Add(items.Inline.Item[0].Clone()), "unknown feature 'article'");
        await RefusedAsync(server, items, r => r.Item.RemoveAt(0), "is missing");
    }

    [Fact]
    public async Task A_server_without_a_catalog_says_so()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(new SampleItems(sample, 5, seed: 13).ById()));
        Assert.Equal(StatusCode.FailedPrecondition, e.StatusCode);
        Assert.Contains("--catalog", e.Status.Detail, StringComparison.Ordinal);
    }

    private static async Task RefusedAsync(RunningServer server, SampleItems items, Action<RankRequest> spoil, string reason)
    {
        var request = items.ById(raw: false);
        spoil(request);
        var e = await Assert.ThrowsAsync<RpcException>(async () => await server.Client.RankAsync(request));
        Assert.Equal(StatusCode.InvalidArgument, e.StatusCode);
        Assert.Contains(reason, e.Status.Detail, StringComparison.Ordinal);
    }
}
