using System.Security.Cryptography;

namespace KdServing.Contracts;

/// <summary>Key files of signed versions: PEM, ECDSA on P-256.</summary>
public static class VersionKeys
{
    private const string P256 = "1.2.840.10045.3.1.7";
    private const long MaxBytes = 1 << 20;

    /// <summary>Makes a pair of keys; the private one is readable by its owner alone.</summary>
    /// <exception cref="IOException">A file of that name exists.</exception>
    public static void Create(string privatePath, string publicPath)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new StreamWriter(privatePath, options))
            file.WriteLine(key.ExportPkcs8PrivateKeyPem());
        using (var file = new StreamWriter(publicPath, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write }))
            file.WriteLine(key.ExportSubjectPublicKeyInfoPem());
    }

    internal static string Read(string path, string field)
    {
        try
        {
            return new FileInfo(path) is { Exists: true, Length: > MaxBytes }
                ? throw new ContractException(field, "is no key file: it is too large")
                : File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContractException(field, $"can not be read: {e.Message}");
        }
    }

    internal static ECDsa Private(string pem, string field)
    {
        var key = Import(pem, field, "a private key");
        try
        {
            key.ExportParameters(includePrivateParameters: true);
            return key;
        }
        catch (CryptographicException)
        {
            key.Dispose();
            throw new ContractException(field, "holds a public key; signing needs the private one");
        }
    }

    internal static IReadOnlyList<ECDsa> Public(string pem, string field)
    {
        var keys = new List<ECDsa>();
        for (var rest = pem.AsSpan(); PemEncoding.TryFind(rest, out var found); rest = rest[found.Location.End..])
        {
            if (rest[found.Label].EndsWith("PRIVATE KEY", StringComparison.Ordinal))
                throw new ContractException(field, "holds a private key; a server needs only the public one, keep the private one with the Distiller");
            keys.Add(Import(rest[found.Location].ToString(), field, "a public key"));
        }
        return keys.Count > 0 ? keys : throw new ContractException(field, "holds no public key in PEM ('-----BEGIN PUBLIC KEY-----')");
    }

    private static ECDsa Import(string pem, string field, string what)
    {
        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(pem);
            if (key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == P256)
                return key;
        }
        catch (Exception e) when (e is ArgumentException or CryptographicException)
        {
            // Told below.
        }
        key.Dispose();
        throw new ContractException(field, $"is not {what} in PEM for ECDSA on P-256; 'kd models keygen' makes a pair");
    }
}
