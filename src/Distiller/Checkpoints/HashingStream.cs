using System.Security.Cryptography;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Writes through to a stream and hashes what goes by, in blocks: a table is written row by row. Knows its position; does not own the stream.</summary>
internal sealed class HashingStream(Stream stream) : Stream
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly byte[] block = new byte[1 << 16];
    private int filled;
    private long written;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => written;

    public override long Position
    {
        get => written;
        set => throw new NotSupportedException();
    }

    /// <summary>Lower-case hex of all that was written.</summary>
    public string Sha256()
    {
        WriteBlock();
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        written += buffer.Length;
        while (buffer.Length > 0)
        {
            var part = Math.Min(buffer.Length, block.Length - filled);
            buffer[..part].CopyTo(block.AsSpan(filled));
            filled += part;
            buffer = buffer[part..];
            if (filled == block.Length)
                WriteBlock();
        }
    }

    public override void Flush()
    {
        WriteBlock();
        stream.Flush();
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private void WriteBlock()
    {
        hash.AppendData(block, 0, filled);
        stream.Write(block, 0, filled);
        filled = 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            hash.Dispose();
        base.Dispose(disposing);
    }
}
