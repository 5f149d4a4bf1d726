using System.Security.Cryptography;

namespace KdServing.Contracts;

/// <summary>Signs manifests with ECDSA on P-256; the manifest names the hash of every other file, so the signature covers the version.</summary>
/// <remarks>
/// <c>manifest.sig</c> is the DER signature over the bytes of <c>manifest.json</c>, as OpenSSL writes it:
/// <c>openssl dgst -sha256 -verify public.pem -signature manifest.sig manifest.json</c>. Any thread. (.NET 10 has no Ed25519.)
/// </remarks>
public sealed class VersionSigner : IDisposable
{
    private readonly ECDsa key;
    private readonly Lock gate = new();

    private VersionSigner(ECDsa key) => this.key = key;

    /// <param name="path">A private key in PEM, as <c>kd models keygen</c> or <c>openssl ecparam -name prime256v1 -genkey</c> writes it.</param>
    /// <param name="field">What names the file, for errors.</param>
    /// <exception cref="ContractException">No such file, or not such a key.</exception>
    public static VersionSigner FromFile(string path, string field) => new(VersionKeys.Private(VersionKeys.Read(path, field), field));

    /// <summary>Content of <c>manifest.sig</c>.</summary>
    public byte[] Sign(ReadOnlySpan<byte> manifest)
    {
        lock (gate)
            return key.SignData(manifest, HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence);
    }

    public void Dispose() => key.Dispose();
}
