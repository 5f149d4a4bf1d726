using System.Collections.Concurrent;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>Looks at the repository all the time, as a server would at the worst moment: a folder with a version's name must be whole.</summary>
internal sealed class RepositoryWatch : IAsyncDisposable
{
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentDictionary<long, bool> whole = [];
    private readonly ConcurrentDictionary<long, string> partial = [];
    private readonly ConcurrentDictionary<long, bool> planted = [];
    private readonly ModelRepository repository;
    private readonly string model;
    private readonly Task running;

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

    /// <summary>A folder that the harness puts there itself; it is not looked at.</summary>
    public void Plant(long version) => planted[version] = true;

    /// <summary>It was not put there after all.</summary>
    public void Unplant(long version) => planted.TryRemove(version, out _);

    public bool IsPlanted(long version) => planted.ContainsKey(version);

    /// <summary>Checks versions not seen whole before.</summary>
    public void LookOnce()
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
                RequireWhole(repository, model, version);
                whole[version] = true;
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
    public static void RequireWhole(ModelRepository repository, string model, long version)
    {
        var manifest = repository.Manifest(model, version);
        foreach (var file in manifest.Files.Keys)
            repository.Verify(manifest, file);
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }
}
