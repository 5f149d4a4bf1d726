using System.Collections.Concurrent;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>Looks at the repository all the time, as a server would at the worst moment: a folder with a version's name must be whole.</summary>
internal sealed class RepositoryWatch : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentDictionary<long, VersionManifest> whole = [];
    private readonly ConcurrentDictionary<long, string> partial = [];
    private readonly ConcurrentDictionary<long, bool> planted = [];
    private readonly ConcurrentQueue<string> disorder = [];
    private readonly ModelRepository repository;
    private readonly string model;
    private readonly Lock looking = new();
    private readonly Task running;
    private volatile bool isBlind;
    private VersionManifest? newest;

    /// <param name="interval">Between two looks.</param>
    public RepositoryWatch(ModelRepository repository, string model, TimeSpan interval)
    {
        this.repository = repository;
        this.model = model;
        running = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                LookOnce();
                await Task.Delay(interval, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        });
    }

    public IReadOnlyCollection<long> Whole => [.. whole.Keys];

    /// <summary>Versions seen in part, with what was wrong.</summary>
    public IReadOnlyDictionary<long, string> Partial => partial;

    /// <summary>Versions that came after one of a newer epoch, or are older than the one before them by their date.</summary>
    public IReadOnlyCollection<string> Disorder => disorder;

    /// <summary>Versions seen whole whose manifest is another one now.</summary>
    public IEnumerable<string> Changed() => repository.Versions(model).Where(whole.ContainsKey)
        .Where(v => repository.TryManifest(model, v) is { } now && now.ToBytes().AsSpan().SequenceEqual(whole[v].ToBytes()) is false)
        .Select(v => $"version {v} is another one than the one published");

    /// <summary>Does not look, while the disk is taken out.</summary>
    public void Close()
    {
        isBlind = true;
        // One look may be under way.
        lock (looking)
        {
        }
    }

    /// <summary>Looks again.</summary>
    public void Open() => isBlind = false;

    /// <summary>A folder that the harness puts there itself; it is not looked at.</summary>
    public void Plant(long version) => planted[version] = true;

    /// <summary>It was not put there after all.</summary>
    public void Unplant(long version) => planted.TryRemove(version, out _);

    public bool IsPlanted(long version) => planted.ContainsKey(version);

    /// <summary>Checks versions not seen whole before.</summary>
    public void LookOnce()
    {
        lock (looking)
        {
            if (!isBlind)
                Look();
        }
    }

    private void Look()
    {
        IReadOnlyList<long> versions;
        try
        {
            versions = repository.Versions(model);
        }
        catch (IOException)
        {
            return; // the disk is being pulled from under us
        }
        foreach (var version in versions.Where(v => !whole.ContainsKey(v) && !planted.ContainsKey(v)))
        {
            try
            {
                var manifest = RequireWhole(repository, model, version);
                whole[version] = manifest;
                NoteOrder(manifest);
            }
            catch (Exception e) when (e is ContractException or IOException)
            {
                // Removed while we read it: old versions go in one rename.
                if (Directory.Exists(repository.Folder(model, version)))
                    partial[version] = e.Message;
            }
        }
    }

    /// <summary>Every file of the manifest is there, with its hash.</summary>
    /// <exception cref="ContractException">It is not.</exception>
    public static VersionManifest RequireWhole(ModelRepository repository, string model, long version)
    {
        var manifest = repository.Manifest(model, version);
        foreach (var file in manifest.Files.Keys)
            repository.Verify(manifest, file);
        return manifest;
    }

    // In the order in which a server would see them.
    private void NoteOrder(VersionManifest manifest)
    {
        if (newest is not null && manifest.Epoch < newest.Epoch)
            disorder.Enqueue($"version {manifest.Version} of epoch {manifest.Epoch} came after version {newest.Version} of epoch {newest.Epoch}");
        if (newest is not null && manifest.Version < newest.Version)
            disorder.Enqueue($"version {manifest.Version} came after version {newest.Version}");
        else if (newest is not null && manifest.CreatedAtMs <= newest.CreatedAtMs)
            disorder.Enqueue($"version {manifest.Version} is dated before version {newest.Version}");
        newest = manifest;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }
}
