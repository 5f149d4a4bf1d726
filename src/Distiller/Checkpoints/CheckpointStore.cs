using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>
/// <c>&lt;folder&gt;/&lt;number&gt;/</c>: complete, checksummed checkpoints, the last few kept. A crash at any point leaves the
/// one before.
/// </summary>
/// <remarks>Saving may run on another thread than training, one at a time.</remarks>
public sealed class CheckpointStore(string folder, int keep)
{
    private const string StagingPrefix = ".staging-";

    public string Folder { get; } = Path.GetFullPath(folder);

    /// <summary>Writes a checkpoint and makes it durable; older ones beyond those kept are removed.</summary>
    /// <param name="files">File name → what writes it.</param>
    /// <param name="describe">Makes the manifest from sizes and hashes.</param>
    /// <exception cref="IOException">The disk refused; the checkpoints before are untouched.</exception>
    public void Save(IReadOnlyDictionary<string, Action<Stream>> files, Func<IReadOnlyDictionary<string, VersionFile>, CheckpointManifest> describe)
    {
        Directory.CreateDirectory(Folder);
        foreach (var stale in Directory.EnumerateDirectories(Folder, StagingPrefix + "*"))
            Directory.Delete(stale, recursive: true);
        var number = Numbers().LastOrDefault() + 1;
        var staging = Path.Combine(Folder, $"{StagingPrefix}{number}");
        Directory.CreateDirectory(staging);
        try
        {
            var written = new SortedDictionary<string, VersionFile>(StringComparer.Ordinal);
            foreach (var (name, write) in files)
                written[name] = WriteHashed(Path.Combine(staging, name), write);
            var json = JsonSerializer.SerializeToUtf8Bytes(describe(written), ContractJson.Options);
            DurableFile.Write(Path.Combine(staging, CheckpointManifest.FileName), s => s.Write(json));
            DurableFile.FlushFolder(staging);
            Directory.Move(staging, PathOf(number));
            DurableFile.FlushFolder(Folder);
        }
        catch
        {
            Directory.Delete(staging, recursive: true);
            throw;
        }
        foreach (var old in Numbers().SkipLast(keep))
            Directory.Delete(PathOf(old), recursive: true);
    }

    /// <summary>The newest checkpoint that is whole; a damaged one is reported and the one before is taken.</summary>
    /// <param name="report">Told of every checkpoint passed over, and why.</param>
    /// <returns>Null when there is none.</returns>
    public (string Path, CheckpointManifest Manifest)? Newest(Action<string> report)
    {
        foreach (var number in Numbers().OrderDescending())
        {
            try
            {
                return (PathOf(number), Verify(PathOf(number)));
            }
            catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
            {
                report($"checkpoint {PathOf(number)} is damaged ({e.Message}); falling back to the one before");
            }
        }
        return null;
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

    private static VersionFile WriteHashed(string path, Action<Stream> write)
    {
        VersionFile? file = null;
        DurableFile.Write(path, stream =>
        {
            using var hash = SHA256.Create();
            using (var hashing = new CryptoStream(stream, hash, CryptoStreamMode.Write, leaveOpen: true))
            using (var buffered = new BufferedStream(hashing, 1 << 16))
                write(buffered);
            file = new(stream.Length, Convert.ToHexStringLower(hash.Hash!));
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
