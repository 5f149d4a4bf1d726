using System.Security.Cryptography;

namespace KdServing.Contracts;

/// <summary>Tells whether a manifest was signed by one of the keys an operator trusts. Any thread.</summary>
public sealed class VersionVerifier
{
    private readonly IReadOnlyList<ECDsa> keys;
    private readonly Lock gate = new();

    private VersionVerifier(IReadOnlyList<ECDsa> keys) => this.keys = keys;

    /// <param name="path">One or more public keys in PEM: while a key is being replaced, the old and the new.</param>
    /// <param name="field">What names the file, for errors.</param>
    /// <exception cref="ContractException">No such file, or no such key in it.</exception>
    public static VersionVerifier FromFile(string path, string field) => new(VersionKeys.Public(VersionKeys.Read(path, field), field));

    /// <param name="signature">Content of <c>manifest.sig</c>; null when there is none.</param>
    /// <exception cref="ContractException">Not signed, or not by a trusted key.</exception>
    public void Require(ReadOnlySpan<byte> manifest, byte[]? signature)
    {
        if (signature is null)
            throw new ContractException(VersionManifest.SignatureFileName, "is missing: the version is not signed, and this reader trusts signed versions only");
        lock (gate)
        {
            foreach (var key in keys)
            {
                if (key.VerifyData(manifest, signature, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))
                    return;
            }
        }
        throw new ContractException(VersionManifest.SignatureFileName, "is not the signature of this manifest by a trusted key");
    }
}
