namespace KdServing.Benchmarks.Peers;

/// <summary>The converted model on disk, made anew for every run: a conversion takes a second, and formats may have changed.</summary>
internal sealed class PeerModelFolder
{
    /// <summary>Items of the catalog: 51 MB of vectors at 128 floats, several times the caches.</summary>
    public const int CatalogItems = 100_000;

    public PeerModelFolder(PeerSources sources)
    {
        var folder = Path.Combine(sources.Built, "run");
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);
        Repository = Path.Combine(folder, "repository");
        RawIds = Path.Combine(folder, "ids.bin");
        Scores = Path.Combine(folder, "scores.bin");
        var model = new PeerModel(sources.Weights);
        model.Publish(Repository);
        model.WriteRawIds(RawIds);
        var items = Path.Combine(folder, "items.pb");
        model.WriteItems(items, CatalogItems);
        CatalogArguments = ["--catalog", Path.Combine(folder, "catalog"), "--items", items];
    }

    public string Repository { get; }

    /// <summary>Row → raw id, for the load generator.</summary>
    public string RawIds { get; }

    /// <summary>Where the load generator leaves the scores of a check.</summary>
    public string Scores { get; }

    /// <summary>What the server is told beside the repository to serve the catalog.</summary>
    public IReadOnlyList<string> CatalogArguments { get; }
}
