using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>A checkpoint that is whole, with those that its rows rest on.</summary>
/// <param name="Chain">Folders, the full one first, this one last.</param>
public sealed record StoredCheckpoint(long Number, string Path, CheckpointManifest Manifest, IReadOnlyList<string> Chain);

/// <summary>
/// <c>&lt;folder&gt;/&lt;number&gt;/</c>: complete, checksummed checkpoints, the last few kept and what they rest on. A crash at any
/// point leaves the one before.
/// </summary>
/// <remarks>Saving may run on another thread than training, one at a time.</remarks>
/// <param name="keep">Checkpoints kept.</param>
/// <param name="atStep">Told before each step that a crash could fall between; null in production.</param>
public sealed class CheckpointStore(string folder, int keep, Action<string>? atStep = null)
{
    private const string StagingPrefix = ".staging-";
    private const string DamagedPrefix = ".damaged-";

    // An owner that slept past its lease and wakes up while it writes must not write into its successor's.
    private readonly string mark = Guid.NewGuid().ToString("N");

    public string Folder { get; } = Path.GetFullPath(folder);

    /// <summary>There is a checkpoint, whole or not.</summary>
    public bool Any => Numbers().Count > 0;

    /// <summary>The newest manifest that can be read, its files unverified.</summary>
    public CheckpointManifest? Newest => Numbers().OrderDescending().Select(TryManifest).FirstOrDefault(m => m is not null);

    /// <summary>Writes a checkpoint and makes it durable; older ones that nothing needs are removed.</summary>
    /// <param name="files">File name → what writes it.</param>
    /// <param name="describe">Makes the manifest from sizes and hashes.</param>
    /// <param name="lineageBytes">Older checkpoints are kept up to so many bytes beside those that must be, for replays.</param>
    /// <returns>The checkpoint's number.</returns>
    /// <exception cref="IOException">The disk refused; the checkpoints before are untouched.</exception>
    public long Save(IReadOnlyDictionary<string, Action<Stream>> files, Func<IReadOnlyDictionary<string, VersionFile>, CheckpointManifest> describe,
        long lineageBytes = 0)
    {
        Directory.CreateDirectory(Folder);
        foreach (var stale in Directory.EnumerateDirectories(Folder, StagingPrefix + "*"))
            Directory.Delete(stale, recursive: true);
        var number = Numbers().LastOrDefault() + 1;
        var staging = Path.Combine(Folder, $"{StagingPrefix}{number}-{mark}");
        Directory.CreateDirectory(staging);
        try
        {
            var written = new SortedDictionary<string, VersionFile>(StringComparer.Ordinal);
            foreach (var (name, write) in files)
            {
                written[name] = WriteHashed(Path.Combine(staging, name), write);
                atStep?.Invoke("checkpoint file");
            }
            var json = JsonSerializer.SerializeToUtf8Bytes(describe(written), ContractJson.Options);
            DurableFile.Write(Path.Combine(staging, CheckpointManifest.FileName), s => s.Write(json));
            DurableFile.FlushFolder(staging);
            atStep?.Invoke("checkpoint staged");
            Directory.Move(staging, PathOf(number));
            atStep?.Invoke("checkpoint renamed");
            DurableFile.FlushFolder(Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Directory.Delete(staging, recursive: true);
            throw;
        }
        RemoveOld(lineageBytes);
        return number;
    }

    /// <summary>Checkpoints that are whole, chain and all, newest first; a damaged one is reported.</summary>
    /// <param name="report">Told of every checkpoint passed over, and why.</param>
    public IEnumerable<StoredCheckpoint> Whole(Action<string> report)
    {
        var verified = new Dictionary<long, CheckpointManifest>();
        foreach (var number in Numbers().OrderDescending())
        {
            StoredCheckpoint? found = null;
            try
            {
                var chain = new List<long> { number };
                while (Verified(chain[^1]) is { Kind: CheckpointKind.Incremental } link)
                {
                    if (link.Previous <= 0 || link.Previous >= chain[^1])
                        throw new ContractException("previous", $"is {link.Previous}");
                    chain.Add(link.Previous);
                }
                chain.Reverse();
                found = new(number, PathOf(number), verified[number], [.. chain.Select(PathOf)]);
            }
            catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
            {
                report($"checkpoint {PathOf(number)} is damaged ({e.Message})");
            }
            if (found is not null)
                yield return found;
        }

        CheckpointManifest Verified(long number) =>
            verified.TryGetValue(number, out var manifest) ? manifest : verified[number] = Verify(PathOf(number));
    }

    /// <summary>Puts checkpoints newer than one aside: training goes on from that one, theirs is a history that did not happen.</summary>
    public void SetAsideAfter(long number)
    {
        foreach (var newer in Numbers().Where(n => n > number))
        {
            var aside = Path.Combine(Folder, DamagedPrefix + Path.GetFileName(PathOf(newer)));
            if (Directory.Exists(aside))
                Directory.Delete(aside, recursive: true);
            Directory.Move(PathOf(newer), aside);
        }
    }

    private static CheckpointManifest Verify(string path)
    {
        var manifest = CheckpointManifest.Parse(File.ReadAllBytes(Path.Combine(path, CheckpointManifest.FileName)));
        foreach (var (name, expected) in manifest.Files)
        {
            using var stream = File.OpenRead(Path.Combine(path, Path.GetFileName(name)));
            if (stream.Length != expected.Bytes)
                throw new ContractException(name, $"has {stream.Length} bytes, expected {expected.Bytes}");
            if (Convert.ToHexStringLower(SHA256.HashData(stream)) != expected.Sha256)
                throw new ContractException(name, "does not have its SHA-256");
        }
        return manifest;
    }

    private void RemoveOld(long lineageBytes)
    {
        var numbers = Numbers();
        var needed = new HashSet<long>();
        foreach (var kept in numbers.TakeLast(keep))
            AddChain(kept);
        // Whole chains from the newest back, as long as the allowance lasts: a replay begins at a full one.
        var bytes = 0L;
        foreach (var number in numbers.Where(n => !needed.Contains(n)).OrderDescending().ToList())
        {
            bytes += Directory.EnumerateFiles(PathOf(number)).Sum(f => new FileInfo(f).Length);
            if (bytes > lineageBytes)
                break;
            AddChain(number);
        }
        foreach (var old in numbers.Where(n => !needed.Contains(n)))
            Directory.Delete(PathOf(old), recursive: true);
        foreach (var aside in Directory.EnumerateDirectories(Folder, DamagedPrefix + "*").Order().SkipLast(keep))
            Directory.Delete(aside, recursive: true);

        void AddChain(long number)
        {
            while (number > 0 && needed.Add(number))
                number = TryManifest(number)?.Previous ?? 0;
        }
    }

    private CheckpointManifest? TryManifest(long number)
    {
        try
        {
            return CheckpointManifest.Parse(File.ReadAllBytes(Path.Combine(PathOf(number), CheckpointManifest.FileName)));
        }
        catch (Exception e) when (e is ContractException or IOException)
        {
            return null;
        }
    }

    private static VersionFile WriteHashed(string path, Action<Stream> write)
    {
        VersionFile? file = null;
        DurableFile.Write(path, stream =>
        {
            using var hashing = new HashingStream(stream);
            write(hashing);
            var hash = hashing.Sha256();
            file = new(hashing.Length, hash);
        });
        return file!;
    }

    private string PathOf(long number) => Path.Combine(Folder, number.ToString("D10", CultureInfo.InvariantCulture));

    private List<long> Numbers()
    {
        var numbers = new List<long>();
        if (!Directory.Exists(Folder))
            return numbers;
        foreach (var path in Directory.EnumerateDirectories(Folder))
        {
            if (long.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                numbers.Add(number);
        }
        numbers.Sort();
        return numbers;
    }
}
