using System.Globalization;
using System.Security.Cryptography;
using StackExchange.Redis;

namespace KdServing.Contracts;

/// <summary>Moves versions through Redis, for servers that share no file system with the Distiller. One caller at a time.</summary>
/// <remarks>
/// A file lies in chunks, each under its own SHA-256 (<c>kd:{model}:chunk:{sha256}</c>), so that what two versions share is kept
/// once and a damaged chunk is known by its name. A version is a hash (<c>kd:{model}:transfer:{version}</c>: manifest, signature,
/// the chunks of every file), written after its chunks; <c>kd:{model}:transfers</c> lists them by number. Everything expires;
/// what a version still rests on is kept alive by the next one.
/// </remarks>
/// <param name="clock">Null: the system's.</param>
public sealed class VersionTransfer(IDatabase redis, string model, TransferPolicy policy, TimeProvider? clock = null)
{
    private const string ManifestField = "manifest";
    private const string SignatureField = "signature";
    private const string BytesField = "bytes";
    private const string FilePrefix = "file:";
    private const int HashDigits = 64;
    private readonly string prefix = $"kd:{Identifier.Require(model, "model")}";
    private readonly TimeProvider clock = clock ?? TimeProvider.System;
    private long? keptAliveAt;

    /// <summary>Versions that can be fetched, ascending.</summary>
    /// <exception cref="RedisException">Redis is away.</exception>
    public IReadOnlyList<long> Versions() =>
        [.. redis.SortedSetRangeByRank(ListKey).Select(v => long.TryParse((string?)v, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 0)
            .Where(v => v > 0)];

    /// <summary>Offers a published version with what it rests on, and removes what is no longer in the repository.</summary>
    /// <exception cref="ContractException">It is larger than <see cref="TransferPolicy.MaxBytes"/> allows beside what must stay; it is not offered.</exception>
    /// <exception cref="RedisException">Redis is away.</exception>
    public void Offer(ModelRepository repository, VersionManifest manifest)
    {
        RemoveAllBut(repository.Versions(model));
        var chain = repository.Chain(manifest);
        var offered = Versions();
        // A link that could not be offered in its time is now: a chain with a gap is none.
        foreach (var link in chain.Where(l => !offered.Contains(l.Version) || l.Version == manifest.Version))
            OfferOne(repository, link);
        KeepAlive(chain);
    }

    private void OfferOne(ModelRepository repository, VersionManifest manifest)
    {
        var files = manifest.Files.Where(f => f.Key != StudentSignature.RankerFile).ToList();
        var bytes = files.Sum(f => f.Value.Bytes);
        var taken = Versions().Where(v => v != manifest.Version).Sum(v => (long?)redis.HashGet(VersionKey(v), BytesField) ?? 0);
        if (taken + bytes > policy.MaxBytes)
            throw new ContractException("refresh.transfer.max_mb", $"leaves no room for version {manifest.Version}: {bytes >> 20} MB beside {taken >> 20} MB of other versions; raise it, or keep fewer bases");
        var (sealedManifest, signature) = repository.SealedManifest(model, manifest.Version);
        var entries = new List<HashEntry> { new(ManifestField, sealedManifest), new(BytesField, bytes) };
        if (signature is not null)
            entries.Add(new(SignatureField, signature));
        entries.AddRange(files.Select(f => new HashEntry(FilePrefix + f.Key, repository.ReadVerified(manifest, f.Key, WriteChunks))));
        // A number that was offered before, by a repository since made anew, must leave nothing behind.
        redis.KeyDelete(VersionKey(manifest.Version));
        redis.HashSet(VersionKey(manifest.Version), [.. entries]);
        redis.KeyExpire(VersionKey(manifest.Version), policy.Expiry);
        redis.SortedSetAdd(ListKey, manifest.Version, manifest.Version);
    }

    /// <summary>Fetches a version, and what it rests on, into a repository of this server's own.</summary>
    /// <exception cref="ContractException">Something of it has expired, is damaged, or is not signed as the repository wants; nothing of it is visible.</exception>
    /// <exception cref="RedisException">Redis is away.</exception>
    /// <exception cref="IOException">The disk refuses.</exception>
    public void Fetch(long version, ModelRepository into)
    {
        // A chain is walked from its tip, and stored from its base: a version is there only when what it rests on is.
        var missing = new Stack<(long Version, byte[] Manifest)>();
        for (var wanted = version; into.TryManifest(model, wanted) is null;)
        {
            var manifest = (byte[]?)redis.HashGet(VersionKey(wanted), ManifestField)
                ?? throw new ContractException("transfer", $"holds no version {wanted}; it has expired, wait for the next base");
            missing.Push((wanted, manifest));
            var link = VersionManifest.Parse(manifest);
            if (link.Kind == VersionKind.Base || missing.Count > policy.MaxChain)
                break;
            wanted = link.PreviousVersion;
        }
        foreach (var (number, manifest) in missing)
        {
            // A broken folder of that number makes way: what is received is whole.
            into.Remove(model, number);
            into.Receive(model, number, manifest, redis.HashGet(VersionKey(number), SignatureField), (folder, described) => ReadFiles(folder, described));
        }
    }

    private RedisKey ListKey => $"{prefix}:transfers";

    private RedisKey VersionKey(long version) => $"{prefix}:transfer:{version.ToString(CultureInfo.InvariantCulture)}";

    private RedisKey ChunkKey(string hash) => $"{prefix}:chunk:{hash}";

    // Chunks of a file that proves to be damaged are in no version's list; they expire.
    private string WriteChunks(Stream file)
    {
        var hashes = new List<string>();
        var buffer = new byte[policy.ChunkBytes];
        for (var read = -1; (read = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)) > 0;)
        {
            var chunk = buffer.AsSpan(0, read).ToArray();
            var hash = Convert.ToHexStringLower(SHA256.HashData(chunk));
            if (!redis.KeyExpire(ChunkKey(hash), policy.Expiry))
                redis.StringSet(ChunkKey(hash), chunk, policy.Expiry);
            hashes.Add(hash);
        }
        return string.Concat(hashes);
    }

    private void ReadFiles(string folder, VersionManifest manifest)
    {
        foreach (var (file, described) in manifest.Files.Where(f => f.Key != StudentSignature.RankerFile))
        {
            var chunks = (string?)redis.HashGet(VersionKey(manifest.Version), FilePrefix + file)
                ?? throw new ContractException("transfer", $"lacks {file} of version {manifest.Version}");
            using var stream = new FileStream(Path.Combine(folder, file), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
            foreach (var hash in Chunks(chunks, file))
            {
                var chunk = (byte[]?)redis.StringGet(ChunkKey(hash))
                    ?? throw new ContractException("transfer", $"lacks a chunk of {file} of version {manifest.Version}; it has expired, wait for the next base");
                if (Convert.ToHexStringLower(SHA256.HashData(chunk)) != hash)
                    throw new ContractException("transfer", $"has a damaged chunk of {file} of version {manifest.Version}");
                // Before it is written: what is larger than the manifest says must not fill the disk.
                if (stream.Length + chunk.Length > described.Bytes)
                    throw new ContractException("transfer", $"has more of {file} of version {manifest.Version} than its manifest says");
                stream.Write(chunk);
            }
        }
    }

    private static IEnumerable<string> Chunks(string hashes, string file)
    {
        if (hashes.Length % HashDigits != 0 || !hashes.All(char.IsAsciiHexDigitLower))
            throw new ContractException("transfer", $"has a list of chunks of {file} that is none");
        for (var start = 0; start < hashes.Length; start += HashDigits)
            yield return hashes.Substring(start, HashDigits);
    }

    // Often enough that nothing a live version rests on expires, seldom enough that a refresh does not pay for a base's thousand chunks.
    private void KeepAlive(IReadOnlyList<VersionManifest> chain)
    {
        // Not by the wall clock: one set back would let a live version expire.
        if (keptAliveAt is { } at && clock.GetElapsedTime(at) < policy.Expiry / 3)
            return;
        keptAliveAt = clock.GetTimestamp();
        foreach (var link in chain)
        {
            redis.KeyExpire(VersionKey(link.Version), policy.Expiry);
            foreach (var hash in ChunksOf(link.Version))
                redis.KeyExpire(ChunkKey(hash), policy.Expiry);
        }
    }

    private void RemoveAllBut(IReadOnlyList<long> kept)
    {
        var offered = Versions();
        var gone = offered.Except(kept).ToList();
        if (gone.Count == 0)
            return;
        var used = offered.Intersect(kept).SelectMany(ChunksOf).ToHashSet();
        foreach (var version in gone)
        {
            redis.KeyDelete([.. ChunksOf(version).Where(h => !used.Contains(h)).Select(ChunkKey), VersionKey(version)]);
            redis.SortedSetRemove(ListKey, version);
        }
    }

    private List<string> ChunksOf(long version) =>
        [.. redis.HashGetAll(VersionKey(version)).Where(e => ((string)e.Name!).StartsWith(FilePrefix, StringComparison.Ordinal))
            .SelectMany(e => Chunks((string)e.Value!, (string)e.Name!))];
}

/// <summary>How versions travel through Redis; <c>refresh.transfer</c> of distiller.json.</summary>
public sealed record TransferPolicy
{
    /// <summary>Bytes a chunk; Redis works on one value at a time, and 1 MiB takes it under a millisecond.</summary>
    public int ChunkBytes { get; init; } = 1 << 20;

    /// <summary>Time after which what nobody refreshed is gone.</summary>
    public TimeSpan Expiry { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Bytes of all versions offered; more are not.</summary>
    public long MaxBytes { get; init; } = 1L << 30;

    /// <summary>Versions a chain may have; a longer one is no chain of ours.</summary>
    public int MaxChain { get; init; } = 10_000;
}
