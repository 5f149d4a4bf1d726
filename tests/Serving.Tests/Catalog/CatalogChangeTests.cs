using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>Items come, change and go while requests rank them.</summary>
public sealed class CatalogChangeTests
{
    // A request has looked up its slots; then every item is replaced, some removed, and as many others put. It scores what it looked up.
    [Fact]
    public async Task A_request_scores_the_items_it_looked_up_whatever_happens_meanwhile()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var before = new SampleItems(sample, 300, seed: 1);
        var after = new SampleItems(sample, 300, seed: 2);
        await open.Catalog.ApplyAsync(before.Batch());
        var servable = await open.PrepareAsync();
        var expected = before.Score(open.Catalog, servable);
        var scored = before.Score(open.Catalog, servable, betweenSlotsAndRows: () =>
        {
            open.Catalog.ApplyAsync(after.Batch()).Wait();
            open.Catalog.ApplyAsync(new() { Remove = { after.Ids.Take(100) } }).Wait();
            for (var seed = 3; seed < 8; seed++)
                open.Catalog.ApplyAsync(new SampleItems(sample, 300, seed, firstId: seed * 10_000).Batch()).Wait();
        });
        Assert.Equal(expected, scored);
        // The next request sees what has happened; live features are still the first request's.
        var request = before.ById(unknown: UnknownItems.Report);
        var lookup = open.Catalog.Rent();
        lookup.Resolve(servable.Items!, request.Catalog, 300, CallBudget.Unlimited);
        Assert.Equal(Enumerable.Range(0, 100), lookup.Unknown.ToArray());
        open.Catalog.Return(lookup);
        Assert.Equal(200 + 5 * 300, open.Catalog.Count);
    }

    // Nobody reads them any more: slots of items that went are used again, so a catalog that turns over does not grow.
    [Fact]
    public async Task Slots_of_items_that_went_are_used_again()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var servable = await open.PrepareAsync();
        for (var round = 0; round < 20; round++)
        {
            var items = new SampleItems(sample, 200, seed: round);
            await open.Catalog.ApplyAsync(items.Batch());
            SampleItems.RequireEqual(sample.Score(items.Inline), items.Score(open.Catalog, servable), 1e-4f);
        }
        Assert.Equal(200, open.Catalog.Count);
        Assert.InRange(open.Catalog.Figures().Slots, 200, 600);
    }

    [Fact]
    public async Task Items_put_again_unchanged_cost_nothing()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var items = new SampleItems(sample, 200, seed: 1);
        Assert.Equal(new(Added: 200, Replaced: 0, Removed: 0, Unchanged: 0), await open.Catalog.ApplyAsync(items.Batch()));
        Assert.Equal(new(Added: 0, Replaced: 0, Removed: 0, Unchanged: 200), await open.Catalog.ApplyAsync(items.Batch()));
        var changed = new SampleItems(sample, 200, seed: 2).Batch();
        changed.Remove.Add(items.Ids[0]);
        changed.Remove.Add(-1);
        Assert.Equal(new(Added: 0, Replaced: 200, Removed: 1, Unchanged: 0), await open.Catalog.ApplyAsync(changed));
    }

    [Fact]
    public async Task An_id_put_twice_in_a_batch_has_its_last_features()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var servable = await open.PrepareAsync();
        var items = new SampleItems(sample, 2, seed: 1);
        var batch = items.Batch();
        batch.Put[0] = batch.Put[1];
        await open.Catalog.ApplyAsync(batch);
        Assert.Equal(1, open.Catalog.Count);
        SampleItems.RequireEqual(sample.Score(items.Inline)[2..], items.Score(open.Catalog, servable)[2..], 1e-4f);
    }

    [Fact]
    public async Task A_full_catalog_refuses_and_says_what_to_raise()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample, o => o with { MaxItems = 250 });
        await open.Catalog.ApplyAsync(new SampleItems(sample, 200, seed: 1).Batch());
        var e = await Assert.ThrowsAsync<ContractException>(() => open.Catalog.ApplyAsync(new SampleItems(sample, 100, seed: 2, firstId: 9000).Batch()));
        Assert.Contains("--catalog-max-items", e.Message, StringComparison.Ordinal);
        Assert.Equal(200, open.Catalog.Count);
    }

    // Three threads rank, one replaces the items by one of two generations; every logit is that of one generation, never of a mixture.
    [Fact]
    public async Task Ranking_while_items_change_gives_each_candidate_one_of_its_states()
    {
        const int items = 64;
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        SampleItems[] generations = [new(sample, items, seed: 1), new(sample, items, seed: 2)];
        // One live side, so that generations differ by their items alone.
        var request = generations[0].ById();
        await open.Catalog.ApplyAsync(generations[0].Batch());
        var servable = await open.PrepareAsync();
        var expected = new float[2][];
        for (var g = 0; g < 2; g++)
        {
            await open.Catalog.ApplyAsync(generations[g].Batch());
            expected[g] = generations[0].Score(open.Catalog, servable);
        }
        using var done = new CancellationTokenSource();
        var ranked = 0;
        var rankers = Enumerable.Range(0, 3).Select(_ => Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
            {
                var logits = generations[0].Score(open.Catalog, servable);
                for (var i = 0; i < logits.Length; i++)
                {
                    if (logits[i] != expected[0][i] && logits[i] != expected[1][i])
                        Assert.Fail($"logit {i} is {logits[i]}, neither {expected[0][i]} nor {expected[1][i]}");
                }
                Interlocked.Increment(ref ranked);
            }
        })).ToArray();
        for (var round = 0; round < 150 || Volatile.Read(ref ranked) < 100; round++)
            await open.Catalog.ApplyAsync(generations[round % 2].Batch());
        await done.CancelAsync();
        await Task.WhenAll(rankers);
    }

    [Fact]
    public async Task A_look_up_and_its_scoring_allocate_nothing()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var items = new SampleItems(sample, 1000, seed: 1);
        await open.Catalog.ApplyAsync(items.Batch());
        var servable = await open.PrepareAsync();
        await open.Catalog.FilledAsync();
        var request = items.ById();
        Score();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++)
            Score();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Score()
        {
            var lookup = open.Catalog.Rent();
            var run = servable.Rent();
            lookup.Resolve(servable.Items!, request.Catalog, request.CandidateCount, CallBudget.Unlimited);
            servable.Score(request, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
            servable.Return(run);
            open.Catalog.Return(lookup);
        }
    }

}
