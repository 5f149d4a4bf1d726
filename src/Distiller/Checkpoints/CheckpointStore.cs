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
    /// <exception cref="StaleEpochException">A checkpoint of a newer epoch is there; nothing was added.</exception>
    public long Save(IReadOnlyDictionary<string, Action<Stream>> files, Func<IReadOnlyDictionary<string, VersionFile>, CheckpointManifest> describe,
        long lineageBytes = 0)
    {
        Directory.CreateDirectory(Folder);
        WholeFolder.Sweep(Folder, StagingPrefix);
        // A number is given once: whoever looked at a checkpoint before it was put aside must not meet another in its place.
        var number = Math.Max(Numbers().LastOrDefault(), Numbers(DamagedPrefix).LastOrDefault()) + 1;
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
            var manifest = describe(written);
            var json = JsonSerializer.SerializeToUtf8Bytes(manifest, ContractJson.Options);
            DurableFile.Write(Path.Combine(staging, CheckpointManifest.FileName), s => s.Write(json));
            DurableFile.FlushFolder(staging);
            atStep?.Invoke("checkpoint staged");
            if (Newest is { } newest && newest.Epoch > manifest.Epoch)
                throw new StaleEpochException($"a checkpoint of epoch {manifest.Epoch} is not added to one of epoch {newest.Epoch}: another Distiller has taken the model");
            Directory.Move(staging, PathOf(number));
            atStep?.Invoke("checkpoint renamed");
            DurableFile.FlushFolder(Folder);
        }
        catch
        {
            WholeFolder.Remove(staging);
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
        var examined = new HashSet<long>();
        // Looked up anew each time: an owner of before that still writes may add one and remove others.
        while (Numbers().LastOrDefault(n => !examined.Contains(n)) is > 0 and var number)
        {
            examined.Add(number);
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
    /// <param name="epoch">Of the owner that goes on; what a successor of it wrote stays.</param>
    public void SetAsideAfter(long number, long epoch)
    {
        foreach (var newer in Numbers().Where(n => n > number && !(TryManifest(n)?.Epoch > epoch)))
        {
            var aside = Path.Combine(Folder, DamagedPrefix + Path.GetFileName(PathOf(newer)));
            try
            {
                Directory.Move(PathOf(newer), aside);
            }
            catch (DirectoryNotFoundException)
            {
                // An owner that recovers beside this one was first.
            }
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
        // What one that can not be read rests on is not known.
        if (!numbers.TakeLast(keep).All(AddChain))
            return;
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
            WholeFolder.Remove(PathOf(old));
        foreach (var aside in Directory.EnumerateDirectories(Folder, DamagedPrefix + "*").Order().SkipLast(keep))
            WholeFolder.Remove(aside);

        bool AddChain(long number)
        {
            while (number > 0 && needed.Add(number))
            {
                if (TryManifest(number) is not { } manifest)
                    return false;
                number = manifest.Previous;
            }
            return true;
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

    // Ascending.
    private List<long> Numbers(string prefix = "")
    {
        var numbers = new List<long>();
        if (!Directory.Exists(Folder))
            return numbers;
        foreach (var path in Directory.EnumerateDirectories(Folder, prefix + "*"))
        {
            if (long.TryParse(Path.GetFileName(path).AsSpan(prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                numbers.Add(number);
        }
        numbers.Sort();
        return numbers;
    }
}
