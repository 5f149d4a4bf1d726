using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks.Catalog;

/// <summary><c>bench catalog</c>: what an item catalog costs in memory, core seconds a refresh, and nanoseconds a candidate.</summary>
internal static class CatalogCommand
{
    public const string Verb = "catalog";

    private const int BatchItems = 10_000;
    private const int DirtyRowsPerTable = 500;

    public static Command Create()
    {
        var items = new Option<int>("--items") { Description = "Items in the catalog", DefaultValueFactory = _ => 1_000_000 };
        var report = new Option<string?>("--report") { Description = "Writes the figures as JSON" };
        var command = new Command(Verb, "Memory, refresh and look-up of an item catalog: 10 features an item, 128-float vectors, float32 and bfloat16.") { items, report };
        command.SetAction(async (result, _) =>
        {
            var figures = new List<CatalogRow>();
            foreach (var format in (ItemVectorFormat[])[ItemVectorFormat.Float32, ItemVectorFormat.BFloat16])
                figures.Add(await MeasureAsync(result.GetValue(items), format, result.InvocationConfiguration.Output));
            if (result.GetValue(report) is { } path)
                await File.WriteAllTextAsync(path, JsonSerializer.Serialize(new { rows = figures }, ContractJson.Options));
            return 0;
        });
        return command;
    }

    private static async Task<CatalogRow> MeasureAsync(int items, ItemVectorFormat format, TextWriter output)
    {
        await output.WriteLineAsync($"{items:N0} items, vectors of 128 {format}");
        var folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
        using var model = new CatalogModel();
        using var thread = new NicedThread("kd-catalog", 0);
        using var catalog = new ItemCatalog(new() { Folder = folder, Format = format, WaitLimit = TimeSpan.FromMinutes(5) }, thread);
        await catalog.OpenAsync(model.Schema);
        CollectGarbage();
        var before = Environment.WorkingSet;
        var watch = Stopwatch.StartNew();
        for (var first = 0; first < items; first += BatchItems)
            await catalog.ApplyAsync(model.Items(first, Math.Min(BatchItems, items - first)));
        var loadSeconds = watch.Elapsed.TotalSeconds;

        var version = await RefreshAsync(model, catalog, null);
        CollectGarbage();
        var row = new CatalogRow
        {
            Format = format.ToString(),
            Items = items,
            PutNsPerItem = loadSeconds * 1e9 / items,
            FirstCoreSeconds = version.CoreSeconds,
            BytesPerItem = (double)(Environment.WorkingSet - before) / items,
            FeatureBytesPerItem = (double)catalog.Figures().FeatureBytes / items,
            IndexBytesPerItem = (double)catalog.Figures().IndexBytes / items,
        };
        // Twice each: the second finds the memory of the version before last.
        for (var i = 0; i < 2; i++)
        {
            model.LearnDense();
            version = await ReplaceAsync(model, catalog, version);
            row = row with { RefreshCoreSeconds = version.CoreSeconds };
        }
        for (var i = 0; i < 2; i++)
        {
            model.LearnRows(DirtyRowsPerTable);
            version = await ReplaceAsync(model, catalog, version);
            row = row with { DirtyRefreshCoreSeconds = version.CoreSeconds, DirtyItems = catalog.Figures().Encoding };
        }
        CollectGarbage();
        row = row with { VectorBytesPerItem = (double)catalog.Figures().VectorBytes / items, BytesPerItemRefreshing = (double)(Environment.WorkingSet - before) / items };
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"  put {row.PutNsPerItem:0} ns an item; memory {row.BytesPerItem:0} bytes an item with one version, {row.BytesPerItemRefreshing:0} with two (vectors {row.VectorBytesPerItem:0}, features {row.FeatureBytesPerItem:0}, index {row.IndexBytesPerItem:0})"));
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"  refresh of every item {row.RefreshCoreSeconds:0.00} core s; of the {row.DirtyItems:N0} items with changed rows {row.DirtyRefreshCoreSeconds:0.00} core s"));
        // The first round compiles what the measured ones run.
        for (var i = 0; i < 3; i++)
            Score(model, catalog, version.Servable, 1000);
        row = row with { Scoring = [.. ((int[])[100, 300, 1000, 3000, 10_000]).Select(n => Score(model, catalog, version.Servable, n))] };
        foreach (var s in row.Scoring)
        {
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
                $"  {s.Candidates,6} candidates: look-up {s.LookUpUs,7:0.0} µs, look-up and scoring {s.WholeUs,8:0.0} µs, the same inline {s.InlineUs,8:0.0} µs"));
        }
        var (intercept, slope) = Line(row.Scoring);
        row = row with { InterceptUs = intercept, SlopeNs = slope };
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"  {slope:0} ns a candidate and {intercept:0.0} µs a request"));
        await version.Servable.RetireAsync();
        version.Servable.Dispose();
        Directory.Delete(folder, recursive: true);
        return row;
    }

    private static async Task<Refreshed> ReplaceAsync(CatalogModel model, ItemCatalog catalog, Refreshed before)
    {
        var next = await RefreshAsync(model, catalog, before.Servable);
        await before.Servable.RetireAsync();
        before.Servable.Dispose();
        return next;
    }

    // What the bench's own batches left behind is not the catalog's memory.
    private static void CollectGarbage() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);

    // Core time of the whole preparation: everything runs on the catalog's one thread, and nothing else does.
    private static async Task<Refreshed> RefreshAsync(CatalogModel model, ItemCatalog catalog, Servable? held)
    {
        var servable = model.Load(held);
        var started = Process.GetCurrentProcess().TotalProcessorTime;
        await catalog.PrepareAsync(servable, CancellationToken.None);
        await catalog.FilledAsync();
        return new(servable, (Process.GetCurrentProcess().TotalProcessorTime - started).TotalSeconds);
    }

    private static ScoringRow Score(CatalogModel model, ItemCatalog catalog, Servable servable, int candidates)
    {
        const int requests = 16;
        var random = new Random(5);
        var inline = Enumerable.Range(0, requests).Select(r => model.Request(candidates, r)).ToArray();
        var ids = inline.Select(_ => Enumerable.Range(0, candidates).Select(_ => random.NextInt64(catalog.Count)).ToArray()).ToArray();
        var byId = inline.Select(r =>
        {
            var request = r.Clone();
            request.Item.Clear();
            return request;
        }).ToArray();
        var run = servable.Rent();
        var lookup = catalog.Rent();
        try
        {
            var lookUpUs = Best(r =>
            {
                lookup.Resolve(servable.Items!, ids[r], CallBudget.Unlimited);
                lookup.Release();
            });
            var wholeUs = Best(r =>
            {
                lookup.Resolve(servable.Items!, ids[r], CallBudget.Unlimited);
                servable.Score(byId[r], lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
                lookup.Release();
            });
            return new(candidates, lookUpUs, wholeUs, Best(r => servable.Score(inline[r], run, CallBudget.Unlimited)));
        }
        finally
        {
            catalog.Return(lookup);
            servable.Return(run);
        }

        // The best of several rounds over all requests: what the code costs when the machine does nothing else.
        double Best(Action<int> score)
        {
            var best = double.PositiveInfinity;
            var rounds = Math.Max(5, 200_000 / candidates / requests);
            for (var round = 0; round < rounds + 3; round++)
            {
                var started = Stopwatch.GetTimestamp();
                for (var r = 0; r < requests; r++)
                    score(r);
                best = Math.Min(best, Stopwatch.GetElapsedTime(started).TotalMicroseconds / requests);
            }
            return best;
        }
    }

    // Least squares of the time over the number of candidates, weighted by 1/N: relative errors are alike.
    private static (double InterceptUs, double SlopeNs) Line(IReadOnlyList<ScoringRow> rows)
    {
        var (w, x, y, xx, xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        foreach (var row in rows)
        {
            var weight = 1.0 / row.Candidates / row.Candidates;
            w += weight;
            x += weight * row.Candidates;
            y += weight * row.WholeUs;
            xx += weight * row.Candidates * row.Candidates;
            xy += weight * row.Candidates * row.WholeUs;
        }
        var slope = (w * xy - x * y) / (w * xx - x * x);
        return ((y - slope * x) / w, slope * 1000);
    }

    private sealed record Refreshed(Servable Servable, double CoreSeconds);
}

/// <summary>The figures of one vector format.</summary>
internal sealed record CatalogRow
{
    public required string Format { get; init; }

    public required int Items { get; init; }

    public required double PutNsPerItem { get; init; }

    public required double FirstCoreSeconds { get; init; }

    /// <summary>Resident memory the catalog added, with one version's vectors.</summary>
    public required double BytesPerItem { get; init; }

    public required double FeatureBytesPerItem { get; init; }

    public required double IndexBytesPerItem { get; init; }

    /// <summary>With a second version's vectors, as during every swap.</summary>
    public double BytesPerItemRefreshing { get; init; }

    public double VectorBytesPerItem { get; init; }

    /// <summary>A version with another item encoder.</summary>
    public double RefreshCoreSeconds { get; init; }

    /// <summary>A version with the same item encoder and changed rows.</summary>
    public double DirtyRefreshCoreSeconds { get; init; }

    public int DirtyItems { get; init; }

    public IReadOnlyList<ScoringRow> Scoring { get; init; } = [];

    public double InterceptUs { get; init; }

    public double SlopeNs { get; init; }
}

/// <summary>One size of request, microseconds.</summary>
internal sealed record ScoringRow(int Candidates, double LookUpUs, double WholeUs, double InlineUs);
