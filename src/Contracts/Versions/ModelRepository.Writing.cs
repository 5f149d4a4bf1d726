using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;

namespace KdServing.Contracts;

/// <content>What changes a repository: publishing, receiving, removing.</content>
public sealed partial class ModelRepository
{
    /// <summary>Publishes a version: <paramref name="write"/> fills an empty folder, then it appears whole, or not at all.</summary>
    /// <param name="describe">Makes the manifest from the sizes and hashes of the files written.</param>
    /// <exception cref="IOException">The disk is full, or the version exists; nothing is visible.</exception>
    /// <exception cref="StaleEpochException">A version of a newer epoch is there; nothing is visible.</exception>
    public VersionManifest Publish(string model, long version, Action<string> write,
        Func<IReadOnlyDictionary<string, VersionFile>, VersionManifest> describe)
    {
        VersionManifest? manifest = null;
        Stage(model, version, staging =>
        {
            write(staging);
            var files = new SortedDictionary<string, VersionFile>(StringComparer.Ordinal);
            foreach (var path in Directory.EnumerateFiles(staging))
                files[Path.GetFileName(path)] = Describe(path);
            manifest = describe(files);
            var bytes = manifest.ToBytes();
            DurableFile.Write(Path.Combine(staging, VersionManifest.FileName), s => s.Write(bytes));
            if (Signer is not null)
                DurableFile.Write(Path.Combine(staging, VersionManifest.SignatureFileName), s => s.Write(Signer.Sign(bytes)));
            RequireNewestEpoch(manifest);
        });
        return manifest!;
    }

    // Here as in Redis, an owner that slept past its lease must not add to what its successor published.
    private void RequireNewestEpoch(VersionManifest manifest)
    {
        if (manifest.Epoch == 0)
            return;
        foreach (var version in Versions(manifest.Model).Reverse())
        {
            if (TryManifest(manifest.Model, version) is not { } newest)
                continue;
            if (newest.Epoch > manifest.Epoch)
                throw new StaleEpochException($"version {manifest.Version} of '{manifest.Model}' was decided in epoch {manifest.Epoch}, version {version} in epoch {newest.Epoch}: another Distiller has taken the model");
            return;
        }
    }

    private static VersionFile Describe(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        var hash = SHA256.HashData(stream);
        stream.Flush(flushToDisk: true);
        return new(stream.Length, Convert.ToHexStringLower(hash));
    }

    /// <summary>Takes a version made elsewhere: <paramref name="write"/> fills an empty folder, what it wrote is compared with the manifest, then the version appears whole.</summary>
    /// <param name="manifest">Bytes of <c>manifest.json</c>, kept as they are, so that a signature over them stays one.</param>
    /// <param name="signature">Content of <c>manifest.sig</c>; null: there is none.</param>
    /// <exception cref="ContractException">The manifest is not of this version, is not signed as <see cref="Verifier"/> wants, or a file is not what it names.</exception>
    /// <exception cref="IOException">The disk refuses; nothing is visible.</exception>
    public VersionManifest Receive(string model, long version, byte[] manifest, byte[]? signature, Action<string, VersionManifest> write)
    {
        Verifier?.Require(manifest, signature);
        var described = VersionManifest.Parse(manifest);
        if (described.Model != model || described.Version != version)
            throw new ContractException("manifest", $"received for {model}/{version} belongs to {described.Model}/{described.Version}");
        Stage(model, version, staging =>
        {
            write(staging, described);
            foreach (var path in Directory.EnumerateFiles(staging))
            {
                var name = Path.GetFileName(path);
                if (!described.Files.TryGetValue(name, out var expected) || Describe(path) != expected)
                    throw new ContractException(name, $"of version {version} is not the file its manifest names");
            }
            DurableFile.Write(Path.Combine(staging, VersionManifest.FileName), s => s.Write(manifest));
            if (signature is not null)
                DurableFile.Write(Path.Combine(staging, VersionManifest.SignatureFileName), s => s.Write(signature));
        });
        return described;
    }

    /// <summary>Removes the versions before one. A reader sees each of them whole or not at all; what the disk refuses stays for the next time.</summary>
    public void RemoveBefore(string model, long version)
    {
        // What a person pinned, and what it rests on, stays.
        if (Wanted(model).Pinned is > 0 and var pinned && TryManifest(model, pinned) is { } manifest)
            version = Math.Min(version, manifest.BaseVersion);
        foreach (var old in Versions(model).TakeWhile(v => v < version))
        {
            if (!Remove(model, old))
                return;
        }
    }

    /// <summary>Adds a signature to a version that was published without.</summary>
    /// <returns>False when it has one; it is left as it is.</returns>
    /// <exception cref="ContractException">The version is missing or damaged: what is signed is looked at first.</exception>
    public bool Sign(string model, long version, VersionSigner signer)
    {
        var manifest = Manifest(model, version);
        RequireNothingElse(manifest);
        foreach (var file in manifest.Files.Keys)
            Verify(manifest, file);
        var (bytes, signature) = SealedManifest(model, version);
        if (signature is not null)
            return false;
        DurableFile.Replace(Path.Combine(Folder(model, version), VersionManifest.SignatureFileName), s => s.Write(signer.Sign(bytes)));
        return true;
    }

    /// <summary>Tells every server of this repository what a person wants.</summary>
    /// <exception cref="IOException">The disk refuses; what was wanted before still is.</exception>
    public void SetWanted(string model, WantedVersion wanted) => DurableFile.Replace(
        Path.Combine(Root, Identifier.Require(model, "model"), WantedVersion.FileName),
        s => s.Write(JsonSerializer.SerializeToUtf8Bytes(wanted, ContractJson.Options)));

    /// <summary>Removes one version; nothing happens when it is not there or the disk refuses.</summary>
    /// <returns>True when it is gone from sight.</returns>
    public bool Remove(string model, long version)
    {
        try
        {
            WholeFolder.Remove(Folder(model, version));
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private void Stage(string model, long version, Action<string> fill)
    {
        var final = Folder(model, version);
        var parent = Path.GetDirectoryName(final)!;
        Directory.CreateDirectory(parent);
        WholeFolder.Sweep(parent, StagingPrefix);
        if (Directory.Exists(final))
            throw new IOException($"version {version} of {model} is already published");
        var staging = Path.Combine(parent, StagingPrefix + version.ToString(CultureInfo.InvariantCulture) + StagingMark);
        Directory.CreateDirectory(staging);
        try
        {
            fill(staging);
            DurableFile.FlushFolder(staging);
            Directory.Move(staging, final);
            DurableFile.FlushFolder(parent);
        }
        catch
        {
            WholeFolder.Remove(staging);
            throw;
        }
    }
}

/// <summary>The publisher's epoch is over: another one has published since. Nothing is visible of what it tried.</summary>
public sealed class StaleEpochException(string message) : Exception(message);
