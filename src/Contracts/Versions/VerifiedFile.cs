using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace KdServing.Contracts;

/// <summary>A version's file, read once from its beginning: each byte is hashed in the very buffer the reader gets. One thread.</summary>
/// <remarks>Nothing that was read may be put to use before <see cref="RequireVerified"/> has returned.</remarks>
internal sealed class VerifiedFile(SafeFileHandle handle, string name, long version, VersionFile expected) : Stream
{
    private const int SkippedBytes = 1 << 16;

    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private long position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => expected.Bytes;

    public override long Position
    {
        get => position;
        set => throw new NotSupportedException("a verified file is read once, from its beginning to its end");
    }

    public override int Read(Span<byte> buffer)
    {
        buffer = buffer[..(int)Math.Min(buffer.Length, Length - position)];
        var read = RandomAccess.Read(handle, buffer, position);
        if (read == 0 && buffer.Length > 0)
            throw new IOException($"{name} grew shorter while it was read");
        hash.AppendData(buffer[..read]);
        position += read;
        return read;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <summary>Reads what is left, and requires that the whole file is the one the manifest names.</summary>
    /// <exception cref="ContractException">It is another.</exception>
    public void RequireVerified()
    {
        if (position < Length)
        {
            var skipped = new byte[SkippedBytes];
            while (position < Length)
                ReadExactly(skipped, 0, (int)Math.Min(SkippedBytes, Length - position));
        }
        if (!Convert.ToHexStringLower(hash.GetHashAndReset()).Equals(expected.Sha256, StringComparison.Ordinal))
            throw new ContractException(name, $"of version {version} does not have the SHA-256 of the manifest");
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        handle.Dispose();
        hash.Dispose();
        base.Dispose(disposing);
    }
}
