using System.Buffers;

namespace Grpc.Net.Common;

/// <summary>A growing buffer out of the shared array pool. Not thread-safe; dispose it to give the array back.</summary>
internal sealed class PooledBufferWriter : IBufferWriter<byte>, IDisposable
{
    private const int MinimumCapacity = 1024;

    private byte[] _buffer = [];
    private int _written;

    public ReadOnlyMemory<byte> WrittenMemory => _buffer.AsMemory(0, _written);

    public int WrittenCount => _written;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _buffer.Length - _written);
        _written += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_written);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        EnsureFree(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_written);
    }

    /// <summary>Grows the buffer at once to what is to come, so that it is not copied on the way.</summary>
    public void EnsureFree(int count)
    {
        if (_buffer.Length - _written >= count)
            return;

        var wanted = Math.Max((long)_written + count, Math.Max(2L * _buffer.Length, MinimumCapacity));
        var grown = ArrayPool<byte>.Shared.Rent((int)Math.Min(wanted, Math.Max(Array.MaxLength, checked(_written + count))));
        _buffer.AsSpan(0, _written).CopyTo(grown);
        Return(_buffer);
        _buffer = grown;
    }

    /// <summary>Forgets the content, keeps the buffer.</summary>
    public void Clear() => _written = 0;

    public void Dispose()
    {
        Return(_buffer);
        _buffer = [];
        _written = 0;
    }

    private static void Return(byte[] buffer)
    {
        if (buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(buffer);
    }
}
