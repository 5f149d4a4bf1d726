using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>A version's item vectors: which are there before the swap, which come later, and that those of two versions never meet.</summary>
public sealed class CatalogVersionTests
{
    // Two steps of filling.
    private const int Many = 4000;

    // The first half of the items is all that is asked for: the version is ready when it is there, whatever is left.
    [Fact]
    public async Task A_version_is_ready_when_the_requested_items_are_there()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var (asked, others) = (new SampleItems(sample, 1000, seed: 1), new SampleItems(sample, Many, seed: 2, firstId: 50_000));
        await open.Catalog.ApplyAsync(others.Batch());
        await open.Catalog.ApplyAsync(asked.Batch());
        var first = await open.PrepareAsync();
        await open.Catalog.FilledAsync();
        asked.Score(open.Catalog, first);
        sample.Learn(seed: 5);
        // The second step never begins while the version waits; the first holds what was asked for.
        using var steps = new StepGate(open.Catalog, steps: 1);
        var second = open.Load();
        await open.Catalog.PrepareAsync(second, CancellationToken.None);
        var figures = open.Catalog.Figures();
        Assert.True(figures.CoveredShare >= 0.99);
        Assert.True(figures.Left > 0);
        Assert.All(asked.Ids, id => Assert.True(second.Items!.Vectors.Has(open.Catalog.Index.Find(id))));
        steps.OpenForGood();
        await open.Catalog.FilledAsync();
        Assert.Equal(0, open.Catalog.Figures().Left);
        Assert.True(second.Items!.Vectors.IsComplete);
    }

    // Half of what was asked for is not 99 %: the version waits, until the limit.
    [Fact]
    public async Task A_version_waits_for_its_items_until_the_limit()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample, o => o with { WaitLimit = TimeSpan.FromMilliseconds(200) });
        var items = new SampleItems(sample, Many, seed: 1);
        await open.Catalog.ApplyAsync(items.Batch());
        using var steps = new StepGate(open.Catalog, steps: 1);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        await open.PrepareAsync();
        Assert.True(watch.ElapsedMilliseconds >= 200, $"ready after {watch.ElapsedMilliseconds} ms");
        Assert.InRange(open.Catalog.Figures().CoveredShare, 0.2, 0.8);
        steps.OpenForGood();
        await open.Catalog.FilledAsync();
        Assert.Equal(1, open.Catalog.Figures().CoveredShare);
    }

    // Requests rank with a version of which not one vector is there: they encode what they need, and the scores are that version's.
    [Fact]
    public async Task Items_without_a_vector_are_encoded_by_the_request_with_its_own_version()
    {
        using var sample = new SampleStudent("two_tower");
        await using var open = await OpenCatalog.MakeAsync(sample, o => o with { WaitLimit = TimeSpan.Zero });
        var items = new SampleItems(sample, 700, seed: 1);
        await open.Catalog.ApplyAsync(items.Batch());
        var first = await open.PrepareAsync();
        await open.Catalog.FilledAsync();
        var expectedFirst = sample.Score(items.Inline);
        sample.Learn(seed: 9);
        var expectedSecond = sample.Score(items.Inline);
        using var steps = new StepGate(open.Catalog, steps: 0);
        var second = await open.PrepareAsync();
        SampleItems.RequireEqual(expectedSecond, items.Score(open.Catalog, second), 1e-4f);
        SampleItems.RequireEqual(expectedFirst, items.Score(open.Catalog, first), 1e-4f);
        Assert.Equal(700, open.Catalog.Figures().EncodedByRequests);
        steps.OpenForGood();
        await open.Catalog.FilledAsync();
        SampleItems.RequireEqual(expectedSecond, items.Score(open.Catalog, second), 1e-4f);
        Assert.Equal(700, open.Catalog.Figures().EncodedByRequests);
    }

    // The memory of version 1 goes to version 3: nothing of what it held may be taken for version 3's.
    [Fact]
    public async Task Memory_of_an_old_version_holds_nothing_valid_for_a_new_one()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var items = new SampleItems(sample, 500, seed: 1);
        await open.Catalog.ApplyAsync(items.Batch());
        var versions = new List<Servable>();
        for (var v = 1; v <= 4; v++)
        {
            var servable = await open.PrepareAsync();
            versions.Add(servable);
            SampleItems.RequireEqual(sample.Score(items.Inline), items.Score(open.Catalog, servable), 1e-4f);
            Assert.Equal(500, open.Catalog.Figures().Encoding);
            if (v >= 2)
                await open.RetireAsync(versions[v - 2]);
            sample.Learn(seed: v + 20);
        }
        // Two stores for four versions.
        Assert.Equal(2L * 16384 * versions[0].Manifest.Signature.ItemVectorWidth * sizeof(float), open.Catalog.Figures().VectorBytes);
    }

    // The dense item weights stay, three rows change: only the items that read them are encoded again, also in memory two versions old.
    [Fact]
    public async Task With_the_same_encoder_only_items_with_changed_rows_are_encoded_again()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        var items = new SampleItems(sample, 400, seed: 1);
        await open.Catalog.ApplyAsync(items.Batch());
        var servable = await open.PrepareAsync();
        var article = sample.Schema.Item.Features.Single(f => f.Name == "article");
        for (var v = 2; v <= 6; v++)
        {
            var rows = Enumerable.Range(0, 3).Select(i => article.Row(items.Inline.Item.Single(c => c.Name == "article").Ints.Value[v * 10 + i])).ToHashSet();
            foreach (var row in rows)
                sample.Tables[article.Table].Writable(row)[0] += 0.7f;
            var readers = items.Inline.Item.Single(c => c.Name == "article").Ints.Value.Count(id => rows.Contains(article.Row(id)));
            var next = await open.PrepareAsync();
            // The store of v - 2 also lacks what version v - 1 changed; from version 3 on there is one.
            Assert.InRange(open.Catalog.Figures().Encoding, readers, v == 2 ? 400 : 2 * readers + 6);
            SampleItems.RequireEqual(sample.Score(items.Inline), items.Score(open.Catalog, next), 1e-4f);
            await open.RetireAsync(servable);
            servable = next;
        }
    }

    [Fact]
    public async Task A_version_with_other_static_features_is_refused()
    {
        using var sample = new SampleStudent("mlp");
        await using var open = await OpenCatalog.MakeAsync(sample);
        await open.PrepareAsync();
        using var other = new SampleStudent("mlp", schema: SampleStudent.SchemaJson.Replace("\"words\"", "\"letters\"", StringComparison.Ordinal));
        await using var elsewhere = await OpenCatalog.MakeAsync(other);
        var e = await Assert.ThrowsAsync<VersionRefusedException>(() => open.Catalog.PrepareAsync(elsewhere.Load(), CancellationToken.None));
        Assert.Contains("letters (number)", e.Message, StringComparison.Ordinal);
        Assert.True(e.IsFinal);
    }
}
