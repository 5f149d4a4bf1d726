using KdServing.Contracts;

namespace KdServing.LoadTests.Load;

/// <summary>Publishes one version after another into a repository: the newest one again, as a delta of a hundredth of its rows, or as a base.</summary>
/// <remarks>Scores do not change, so whatever a swap disturbs is the swap's doing. No trainer may publish the model meanwhile.</remarks>
internal sealed class VersionStorm : IDisposable
{
    private const double RowShare = 0.01;
    // As the Distiller does it by default (RefreshPolicy): a chain of thousands of deltas is nobody's.
    private const int BaseEvery = 20;
    private const int KeptBases = 3;

    private readonly ModelRepository repository;
    private readonly string model;
    private readonly EmbeddingTable[] tables;
    private readonly Random random = new(1);
    private VersionManifest newest;

    /// <exception cref="LoadException">The repository holds no version of the model.</exception>
    public VersionStorm(string folder, string model)
    {
        repository = new(folder);
        if (model.Length == 0)
            model = OnlyModel(folder);
        this.model = model;
        var versions = repository.Versions(model);
        if (versions.Count == 0)
            throw new LoadException($"--repository: {folder} holds no version of '{model}'");
        newest = repository.Manifest(model, versions[^1]);
        var schema = FeatureSchema.Parse(System.Text.Encoding.UTF8.GetString(repository.ReadVerified(newest, StudentSignature.SchemaFile)));
        tables = [.. schema.Tables.Select(t => new EmbeddingTable(t))];
        foreach (var link in repository.Chain(newest))
            repository.ReadVerified(link, StudentSignature.RowsFile, s => RowsFile.Apply(s, tables, requireFinite: true));
    }

    /// <summary>Versions published so far.</summary>
    public int Published { get; private set; }

    /// <summary>Publishes until stopped, one version each interval.</summary>
    public async Task RunAsync(double everySeconds, CancellationToken stop)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(everySeconds));
        try
        {
            while (await timer.WaitForNextTickAsync(stop))
                Publish();
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
        }
    }

    /// <summary>Publishes one version.</summary>
    /// <exception cref="IOException">The disk is full, or somebody else has published the number.</exception>
    public void Publish()
    {
        var source = repository.Folder(model, newest.Version);
        var isBase = Published % BaseEvery == BaseEvery - 1;
        newest = repository.Publish(model, newest.Version + 1, Write, files => newest with
        {
            Version = newest.Version + 1,
            Kind = isBase ? VersionKind.Base : VersionKind.Delta,
            BaseVersion = isBase ? newest.Version + 1 : newest.BaseVersion,
            PreviousVersion = isBase ? 0 : newest.Version,
            CreatedAtMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
            Files = files,
        });
        Published++;
        if (isBase)
            repository.RemoveBefore(model, newest.Version - BaseEvery * (KeptBases - 1));

        void Write(string folder)
        {
            foreach (var file in newest.Files.Keys.Where(f => f is not (StudentSignature.RowsFile or StudentSignature.RankerFile)))
                File.Copy(Path.Combine(source, file), Path.Combine(folder, file));
            int[][]? rows = isBase ? null : [.. tables.Select(t => Enumerable.Range(0, t.Rows).Where(_ => random.NextDouble() < RowShare).ToArray())];
            DurableFile.Write(Path.Combine(folder, StudentSignature.RowsFile), s => RowsFile.Write(s, tables, rows));
        }
    }

    public void Dispose()
    {
        foreach (var table in tables)
            table.Dispose();
    }

    private static string OnlyModel(string folder)
    {
        string[] models = Directory.Exists(folder) ? [.. Directory.EnumerateDirectories(folder).Select(d => Path.GetFileName(d))] : [];
        return models is [var only] ? only : throw new LoadException($"--model: {folder} holds {models.Length} models; name one");
    }
}
