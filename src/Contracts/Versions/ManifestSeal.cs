using System.Security.Cryptography;
using System.Text;

namespace KdServing.Contracts;

/// <summary>The last member of <c>manifest.json</c>: the SHA-256 of every byte before it, so that a changed manifest is never taken for its own.</summary>
/// <remarks>Found without reading JSON: the seal has one spelling and one place, the end. Against accidents; against people there is <see cref="VersionSigner"/>.</remarks>
public static class ManifestSeal
{
    private const int HashDigits = 64;
    private static ReadOnlySpan<byte> Before => ",\n  \"manifest_sha256\": \""u8;
    private static ReadOnlySpan<byte> After => "\"\n}"u8;

    /// <summary>Appends the seal to a JSON object.</summary>
    public static byte[] Add(string json)
    {
        var text = json.TrimEnd();
        if (!text.EndsWith('}'))
            throw new ArgumentException("not a JSON object", nameof(json));
        var sealedPart = Encoding.UTF8.GetBytes(text[..^1].TrimEnd());
        return [.. sealedPart, .. Before, .. Encoding.ASCII.GetBytes(Convert.ToHexStringLower(SHA256.HashData(sealedPart))), .. After];
    }

    /// <summary>Verifies the seal.</summary>
    /// <returns>The JSON object without it.</returns>
    /// <exception cref="ContractException">There is none, or the bytes before it have changed.</exception>
    public static byte[] Open(ReadOnlySpan<byte> file)
    {
        var sealedBytes = file.Length - Before.Length - HashDigits - After.Length;
        if (sealedBytes < 0 || !file.EndsWith(After) || !file[sealedBytes..].StartsWith(Before))
            throw new ContractException("manifest", "is not valid: it does not end with its manifest_sha256; cut short, changed by hand, or written by another release");
        var hash = Convert.ToHexStringLower(SHA256.HashData(file[..sealedBytes]));
        if (!file.Slice(sealedBytes + Before.Length, HashDigits).SequenceEqual(Encoding.ASCII.GetBytes(hash)))
            throw new ContractException("manifest", "does not have the manifest_sha256 it ends with; it was changed after it was published");
        return [.. file[..sealedBytes], (byte)'}'];
    }
}
