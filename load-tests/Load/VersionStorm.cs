using System.Diagnostics;
using System.Runtime.InteropServices;
using KdServing.Contracts;

namespace KdServing.LoadTests.Load;

/// <summary>Publishes one version after another into a repository: the newest one again, as a delta of a hundredth of its rows, or as a base.</summary>
/// <remarks>Scores do not change, so whatever a swap disturbs is the swap's doing. No trainer may publish the model meanwhile.</remarks>
internal sealed partial class VersionStorm : IDisposable
{
    private const int RowsApart = 100;
    // As the Distiller does it by default (RefreshPolicy): a chain of thousands of deltas is nobody's.
    private const int BaseEvery = 20;
    private const int KeptBases = 3;
    // The Distiller's, whose part this is: it gives way to the server, and to the requests that are to be timed.
    private const int PublisherNiceness = 5;

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

    /// <summary>Publishes until stopped, one version each interval, on a thread that gives way.</summary>
    public Task RunAsync(double everySeconds, CancellationToken stop)
    {
        var done = new TaskCompletionSource();
        new Thread(() =>
        {
            try
            {
                if (OperatingSystem.IsLinux())
                    _ = SetPriority(0, GetThreadId(), PublisherNiceness);
                Run(TimeSpan.FromSeconds(everySeconds), stop);
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        })
        { IsBackground = true, Name = "storm" }.Start();
        return done.Task;
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
            int[][]? rows = isBase ? null : [.. tables.Select(t => Scattered(t.Rows))];
            DurableFile.Write(Path.Combine(folder, StudentSignature.RowsFile), s => RowsFile.Write(s, tables, rows));
        }
    }

    private void Run(TimeSpan interval, CancellationToken stop)
    {
        var clock = Stopwatch.StartNew();
        for (var due = interval; !stop.WaitHandle.WaitOne(Positive(due - clock.Elapsed)); due += interval)
            Publish();

        static TimeSpan Positive(TimeSpan span) => span > TimeSpan.Zero ? span : TimeSpan.Zero;
    }

    // Rows a hundred apart on average, anywhere: the worst there is for what shares pages with the version before.
    private int[] Scattered(int rows)
    {
        var chosen = new List<int>();
        for (var row = random.Next(RowsApart); row < rows; row += 1 + random.Next(2 * RowsApart - 1))
            chosen.Add(row);
        return [.. chosen];
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

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int niceness);
}
