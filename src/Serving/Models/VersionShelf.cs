using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Models;

/// <summary>Where this server finds versions: the repository, its own kept copies, and what can be fetched through Redis.</summary>
/// <remarks>Any thread looks; only the loader's thread fetches and keeps.</remarks>
/// <param name="repository">What the Distiller publishes to; with <paramref name="transfer"/>, a folder of this server's own.</param>
/// <param name="kept">Copies of the versions this server relies on, so that it starts without the repository; null: it keeps none.</param>
/// <param name="transfer">Fetches versions into the repository; null: the file system is shared.</param>
public sealed class VersionShelf(string model, ModelRepository repository, ModelRepository? kept, VersionTransfer? transfer, ILogger<VersionShelf> log)
{
    private volatile IReadOnlyList<long> offered = [];

    /// <summary>True when only signed versions are read.</summary>
    public bool IsSigned => repository.Verifier is not null;

    /// <summary>Versions to be had, ascending.</summary>
    /// <exception cref="IOException">The repository can not be read, and there is no copy either.</exception>
    public IReadOnlyList<long> Versions() => [.. Known().Union(Offered()).Order()];

    /// <summary>What a person wants of every server of the repository; nothing when it can not be read, or only signed versions are trusted.</summary>
    public WantedVersion Wanted()
    {
        try
        {
            return IsSigned || transfer is not null ? new() : repository.Wanted(model);
        }
        catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
        {
            return new();
        }
    }

    /// <summary>Versions on this server's disks, ascending.</summary>
    /// <exception cref="IOException">The repository can not be read, and there is no copy either.</exception>
    public IReadOnlyList<long> Known()
    {
        IReadOnlyList<long> published;
        try
        {
            published = repository.Versions(model);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && kept?.Versions(model) is { Count: > 0 })
        {
            published = [];
        }
        return [.. published.Union(kept?.Versions(model) ?? []).Order()];
    }

    /// <summary>The repository that holds a version; the first one when neither does.</summary>
    public ModelRepository Where(long version) =>
        kept is not null && !repository.Has(model, version) && kept.Has(model, version) ? kept : repository;

    /// <summary>The repository a version can be loaded from; fetches it there first when it is only in Redis.</summary>
    /// <exception cref="VersionRefusedException">It can not be fetched now.</exception>
    public ModelRepository Provide(long version)
    {
        if (transfer is not null && offered.Contains(version) && repository.TryManifest(model, version) is null)
        {
            try
            {
                transfer.Fetch(version, repository);
            }
            catch (Exception e) when (e is ContractException or RedisException or TimeoutException or IOException or UnauthorizedAccessException)
            {
                throw new VersionRefusedException(version, $"not fetched through Redis: {e.Message}", isFinal: false, e);
            }
        }
        return Where(version);
    }

    /// <summary>Keeps copies of the versions this server relies on, with what they rest on, and drops the other copies.</summary>
    /// <param name="relied">Versions loaded or pinned.</param>
    public void Keep(IReadOnlyCollection<long> relied)
    {
        // What was fetched is the copy.
        var own = transfer is not null ? repository : kept;
        if (own is null)
            return;
        var needed = new HashSet<long>();
        foreach (var version in relied)
        {
            var from = repository.Has(model, version) ? repository : own;
            if (from.TryManifest(model, version) is not { } manifest)
                continue;
            try
            {
                foreach (var link in from.Chain(manifest))
                {
                    needed.Add(link.Version);
                    if (!own.Has(model, link.Version))
                        Copy(link, from, own);
                }
            }
            catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
            {
                log.NotKept(version, e.Message);
            }
        }
        // A version newer than all in use may be the next one.
        var newest = relied.Count == 0 ? long.MaxValue : relied.Max();
        foreach (var version in own.Versions(model).Where(v => v < newest && !needed.Contains(v)))
            own.Remove(model, version);
    }

    private void Copy(VersionManifest link, ModelRepository from, ModelRepository to)
    {
        var (manifest, signature) = from.SealedManifest(model, link.Version);
        to.Receive(model, link.Version, manifest, signature, (folder, described) =>
        {
            foreach (var file in described.Files.Keys.Where(f => f != StudentSignature.RankerFile))
            {
                from.ReadVerified(described, file, stream =>
                {
                    using var copy = File.Create(Path.Combine(folder, file));
                    stream.CopyTo(copy);
                    return copy.Length;
                });
            }
        });
    }

    private IReadOnlyList<long> Offered()
    {
        if (transfer is null)
            return [];
        try
        {
            return offered = transfer.Versions();
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            // Said by the announcement feed, which waits for the same Redis.
            return offered = [];
        }
    }
}
