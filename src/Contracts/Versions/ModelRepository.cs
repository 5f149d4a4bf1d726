using System.Globalization;
using System.Security.Cryptography;

namespace KdServing.Contracts;

/// <summary><c>&lt;root&gt;/&lt;model&gt;/&lt;version&gt;/</c>: complete folders only. One process publishes a model; any number read.</summary>
/// <remarks>
/// Publishing: write into a hidden sibling, flush every file and the folder, rename, flush the parent. A crash at any
/// point leaves the old versions and at most a hidden folder, which the next publication removes.
/// </remarks>
public sealed class ModelRepository(string root)
{
    private const string StagingPrefix = ".staging-";

    public string Root { get; } = Path.GetFullPath(root);

    public string Folder(string model, long version) =>
        Path.Combine(Root, Identifier.Require(model, "model"), version.ToString(CultureInfo.InvariantCulture));

    /// <summary>Versions present, ascending.</summary>
    public IReadOnlyList<long> Versions(string model)
    {
        var folder = Path.Combine(Root, Identifier.Require(model, "model"));
        if (!Directory.Exists(folder))
            return [];
        var versions = new List<long>();
        foreach (var path in Directory.EnumerateDirectories(folder))
        {
            if (long.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0)
                versions.Add(version);
        }
        versions.Sort();
        return versions;
    }

    /// <exception cref="ContractException">The version is missing, or its manifest is not its own.</exception>
    public VersionManifest Manifest(string model, long version)
    {
        var manifest = VersionManifest.Parse(ReadFile(model, version, VersionManifest.FileName));
        return manifest.Model == model && manifest.Version == version
            ? manifest
            : throw new ContractException("manifest", $"in the folder of {model}/{version} belongs to {manifest.Model}/{manifest.Version}");
    }

    /// <summary>The manifest, or null when there is no good one.</summary>
    public VersionManifest? TryManifest(string model, long version)
    {
        try
        {
            return Manifest(model, version);
        }
        catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Removes the versions before one. A reader sees each of them whole or not at all; what the disk refuses stays for the next time.</summary>
    public void RemoveBefore(string model, long version)
    {
        foreach (var old in Versions(model).TakeWhile(v => v < version))
        {
            var folder = Folder(model, old);
            var hidden = Path.Combine(Path.GetDirectoryName(folder)!, $"{StagingPrefix}removed-{Path.GetFileName(folder)}");
            try
            {
                Directory.Move(folder, hidden);
                Directory.Delete(hidden, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return;
            }
        }
    }

    /// <summary>Reads a file once and verifies that buffer: what is checked is what is used.</summary>
    /// <exception cref="ContractException">Missing, or not the bytes the manifest names.</exception>
    public byte[] ReadVerified(VersionManifest manifest, string file)
    {
        if (!manifest.Files.TryGetValue(file, out var expected))
            throw new ContractException($"manifest.files.{file}", $"is missing in version {manifest.Version}");
        var bytes = ReadFile(manifest.Model, manifest.Version, file);
        if (bytes.Length != expected.Bytes)
            throw new ContractException(file, $"of version {manifest.Version} has {bytes.Length} bytes, the manifest says {expected.Bytes}");
        if (!Convert.ToHexStringLower(SHA256.HashData(bytes)).Equals(expected.Sha256, StringComparison.Ordinal))
            throw new ContractException(file, $"of version {manifest.Version} does not have the SHA-256 of the manifest");
        return bytes;
    }

    /// <summary>Base first, then the deltas up to this version.</summary>
    /// <exception cref="ContractException">A link is missing or does not fit.</exception>
    public IReadOnlyList<VersionManifest> Chain(VersionManifest manifest)
    {
        var chain = new List<VersionManifest> { manifest };
        while (chain[^1].Kind == VersionKind.Delta)
        {
            var previous = Manifest(manifest.Model, chain[^1].PreviousVersion);
            if (previous.BaseVersion != manifest.BaseVersion)
                throw new ContractException("manifest.base_version", $"of version {previous.Version} breaks the chain of version {manifest.Version}");
            chain.Add(previous);
        }
        chain.Reverse();
        return chain;
    }

    /// <summary>Publishes a version: <paramref name="write"/> fills an empty folder, then it appears whole, or not at all.</summary>
    /// <param name="describe">Makes the manifest from the sizes and hashes of the files written.</param>
    /// <exception cref="IOException">The disk is full, or the version exists; nothing is visible.</exception>
    public VersionManifest Publish(string model, long version, Action<string> write,
        Func<IReadOnlyDictionary<string, VersionFile>, VersionManifest> describe)
    {
        var final = Folder(model, version);
        var parent = Path.GetDirectoryName(final)!;
        Directory.CreateDirectory(parent);
        foreach (var stale in Directory.EnumerateDirectories(parent, StagingPrefix + "*"))
            Directory.Delete(stale, recursive: true);
        if (Directory.Exists(final))
            throw new IOException($"version {version} of {model} is already published");

        var staging = Path.Combine(parent, StagingPrefix + version.ToString(CultureInfo.InvariantCulture));
        Directory.CreateDirectory(staging);
        try
        {
            write(staging);
            var files = new SortedDictionary<string, VersionFile>(StringComparer.Ordinal);
            foreach (var path in Directory.EnumerateFiles(staging))
                files[Path.GetFileName(path)] = Describe(path);
            var manifest = describe(files);
            DurableFile.Write(Path.Combine(staging, VersionManifest.FileName),
                s => s.Write(System.Text.Encoding.UTF8.GetBytes(manifest.ToJson())));
            DurableFile.FlushFolder(staging);
            Directory.Move(staging, final);
            DurableFile.FlushFolder(parent);
            return manifest;
        }
        catch
        {
            if (Directory.Exists(staging))
                Directory.Delete(staging, recursive: true);
            throw;
        }
    }

    private static VersionFile Describe(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        var hash = SHA256.HashData(stream);
        stream.Flush(flushToDisk: true);
        return new(stream.Length, Convert.ToHexStringLower(hash));
    }

    private byte[] ReadFile(string model, long version, string file)
    {
        try
        {
            return File.ReadAllBytes(Path.Combine(Folder(model, version), file));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ContractException(file, $"of version {version} of '{model}' is missing");
        }
    }
}
