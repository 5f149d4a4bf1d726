using System.Globalization;
using System.Text.Json;

namespace KdServing.Contracts;

/// <summary><c>&lt;root&gt;/&lt;model&gt;/&lt;version&gt;/</c>: complete folders only. One process publishes a model; any number read.</summary>
/// <remarks>
/// Publishing: write into a hidden sibling, flush every file and the folder, rename, flush the parent. A crash at any
/// point leaves the old versions and at most a hidden folder, which the next publication removes.
/// </remarks>
public sealed partial class ModelRepository(string root)
{
    private const string StagingPrefix = ".staging-";
    // A manifest is some kilobytes; a thousand files' names and hashes are 200 KB.
    private const long MaxManifestBytes = 1 << 20;
    private const long MaxSignatureBytes = 1 << 10;

    public string Root { get; } = Path.GetFullPath(root);

    /// <summary>Signs what is published; null: nothing is signed.</summary>
    public VersionSigner? Signer { get; init; }

    /// <summary>Refuses to read versions not signed by a key it trusts; null: signatures are not looked at.</summary>
    public VersionVerifier? Verifier { get; init; }

    /// <summary>Tells this publisher's hidden folders from those of one that it has followed and that may wake up in the middle of a file.</summary>
    public string StagingMark { get; init; } = "";

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

    /// <exception cref="ContractException">The version is missing, its manifest is not its own or has changed, or it is not signed as <see cref="Verifier"/> wants.</exception>
    public VersionManifest Manifest(string model, long version)
    {
        var bytes = ReadFile(model, version, VersionManifest.FileName, MaxManifestBytes);
        Verifier?.Require(bytes, ReadSignature(model, version));
        var manifest = VersionManifest.Parse(bytes);
        return manifest.Model == model && manifest.Version == version
            ? manifest
            : throw new ContractException("manifest", $"in the folder of {model}/{version} belongs to {manifest.Model}/{manifest.Version}");
    }

    /// <summary>What a person wants of every server of this repository; nothing in particular when nobody said.</summary>
    /// <exception cref="ContractException">The file is there and is not valid.</exception>
    public WantedVersion Wanted(string model)
    {
        var path = Path.Combine(Root, Identifier.Require(model, "model"), WantedVersion.FileName);
        try
        {
            return File.Exists(path)
                ? JsonSerializer.Deserialize<WantedVersion>(RegularFile.Read(path, MaxManifestBytes), ContractJson.Options) ?? new()
                : new();
        }
        catch (JsonException e)
        {
            throw new ContractException(WantedVersion.FileName, $"is not valid: {e.Message}");
        }
    }

    /// <summary>True when there is a folder of that version, good or not.</summary>
    public bool Has(string model, long version) => Directory.Exists(Folder(model, version));

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

    /// <summary>Requires that the folder holds what the manifest names and nothing else: no further file, no folder, no link.</summary>
    /// <remarks>Files the manifest names may be absent: who needs one reads it, and says so then.</remarks>
    /// <exception cref="ContractException">Something is there that should not be.</exception>
    public void RequireNothingElse(VersionManifest manifest)
    {
        var folder = new DirectoryInfo(Folder(manifest.Model, manifest.Version));
        if (folder.LinkTarget is not null)
            throw new ContractException("version", $"{manifest.Version} is a symbolic link; a version is a folder");
        foreach (var entry in folder.EnumerateFileSystemInfos())
        {
            if (entry.LinkTarget is not null || entry is DirectoryInfo)
                throw new ContractException("version", $"{manifest.Version} holds '{Printable(entry.Name)}', which is not a plain file");
            if (entry.Name is not (VersionManifest.FileName or VersionManifest.SignatureFileName) && !manifest.Files.ContainsKey(entry.Name))
                throw new ContractException("version", $"{manifest.Version} holds '{Printable(entry.Name)}', which its manifest does not name");
        }
    }

    /// <summary>The bytes of a version's manifest as they lie in its folder, with its signature; to hand on.</summary>
    /// <exception cref="ContractException">The version is missing.</exception>
    public (byte[] Manifest, byte[]? Signature) SealedManifest(string model, long version) =>
        (ReadFile(model, version, VersionManifest.FileName, MaxManifestBytes), ReadSignature(model, version));

    private byte[]? ReadSignature(string model, long version) =>
        File.Exists(Path.Combine(Folder(model, version), VersionManifest.SignatureFileName))
            ? ReadFile(model, version, VersionManifest.SignatureFileName, MaxSignatureBytes)
            : null;

    private static string Printable(string name) => new([.. name.Take(64).Select(c => char.IsControl(c) ? '?' : c)]);
}
