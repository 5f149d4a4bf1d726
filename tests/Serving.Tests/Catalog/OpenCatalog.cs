using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Catalog;

/// <summary>A catalog and versions of one student, without a server around them.</summary>
internal sealed class OpenCatalog : IAsyncDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly NicedThread thread = new("catalog-test", 0);
    private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
    private readonly ScoringBufferPool pool = new();
    private readonly ServableLoader loader;
    private readonly List<Servable> loaded = [];

    private OpenCatalog(SampleStudent sample, Func<CatalogOptions, CatalogOptions>? change)
    {
        Sample = sample;
        Repository = new(folder["models"]);
        loader = new(Repository, runtime, pool, new(), TimeSpan.FromMilliseconds(1));
        var options = new CatalogOptions { Folder = folder["catalog"], WaitLimit = TimeSpan.FromSeconds(20) };
        Catalog = new(change is null ? options : change(options), thread);
    }

    public SampleStudent Sample { get; }

    public ModelRepository Repository { get; }

    public ItemCatalog Catalog { get; }

    public static async Task<OpenCatalog> MakeAsync(SampleStudent sample, Func<CatalogOptions, CatalogOptions>? change = null)
    {
        var open = new OpenCatalog(sample, change);
        await open.Catalog.OpenAsync(sample.Schema);
        return open;
    }

    /// <summary>Publishes the student as it is and loads it, on top of the version before.</summary>
    public Servable Load()
    {
        var manifest = Sample.Publish(Repository);
        var servable = loader.Load(SampleStudent.Model, manifest.Version, loaded.LastOrDefault());
        loaded.Add(servable);
        return servable;
    }

    public async Task<Servable> PrepareAsync()
    {
        var servable = Load();
        await Catalog.PrepareAsync(servable, CancellationToken.None);
        return servable;
    }

    /// <summary>Frees a version as a swap does.</summary>
    public async Task RetireAsync(Servable servable)
    {
        await servable.RetireAsync();
        servable.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var servable in loaded)
            await RetireAsync(servable);
        thread.Dispose();
        Catalog.Dispose();
        pool.Dispose();
        runtime.Dispose();
        folder.Dispose();
    }
}
