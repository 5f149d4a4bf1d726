namespace KdServing.Contracts;

/// <content>How a version's files are read: what is checked is what is used.</content>
public sealed partial class ModelRepository
{
    /// <summary>Reads a file once and verifies that buffer: what is checked is what is used.</summary>
    /// <exception cref="ContractException">Missing, larger than an array, or not the bytes the manifest names.</exception>
    public byte[] ReadVerified(VersionManifest manifest, string file) => ReadVerified(manifest, file, stream =>
    {
        if (stream.Length > Array.MaxLength)
            throw new ContractException(file, $"of version {manifest.Version} has {stream.Length} bytes; {Array.MaxLength} at most are read at once");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    });

    /// <summary>Reads a file of any size once, in pieces, and verifies what was read: each piece is hashed in the buffer the reader gets.</summary>
    /// <param name="read">What it makes must stay unused until this method has returned, and be given up when it throws.</param>
    /// <exception cref="ContractException">Missing, not the bytes the manifest names, or what <paramref name="read"/> found wrong with them.</exception>
    public T ReadVerified<T>(VersionManifest manifest, string file, Func<Stream, T> read)
    {
        using var stream = OpenVerified(manifest, file);
        T result;
        try
        {
            result = read(stream);
        }
        catch (ContractException)
        {
            // Of a file that is not the publisher's it would be wrong to say what the publisher did wrong.
            stream.RequireVerified();
            throw;
        }
        stream.RequireVerified();
        return result;
    }

    /// <summary>Reads a file to see that it is the one the manifest names.</summary>
    /// <exception cref="ContractException">Missing, or not the bytes the manifest names.</exception>
    public void Verify(VersionManifest manifest, string file)
    {
        using var stream = OpenVerified(manifest, file);
        stream.RequireVerified();
    }

    private VerifiedFile OpenVerified(VersionManifest manifest, string file)
    {
        if (!manifest.Files.TryGetValue(file, out var expected))
            throw new ContractException($"manifest.files.{file}", $"is missing in version {manifest.Version}");
        var length = 0L;
        var handle = Open(manifest.Model, manifest.Version, file, path => RegularFile.Open(path, expected.Bytes, out length));
        if (length == expected.Bytes)
            return new(handle, file, manifest.Version, expected);
        handle.Dispose();
        throw new ContractException(file, $"of version {manifest.Version} has {length} bytes, the manifest says {expected.Bytes}");
    }

    private byte[] ReadFile(string model, long version, string file, long maxBytes) =>
        Open(model, version, file, path => RegularFile.Read(path, maxBytes));

    private T Open<T>(string model, long version, string file, Func<string, T> open)
    {
        try
        {
            return open(Path.Combine(Folder(model, version), file));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ContractException(file, $"of version {version} of '{model}' is missing");
        }
        catch (ContractException e)
        {
            throw new ContractException(file, $"of version {version} {e.Reason}");
        }
    }
}
