using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Takes a <c>rows.bin</c> apart as it comes from a stream, through one buffer. One thread.</summary>
/// <param name="bufferBytes">The most <see cref="Take"/> gives at once.</param>
internal sealed class RowsReader(Stream stream, int bufferBytes)
{
    private readonly byte[] buffer = new byte[bufferBytes];
    private readonly long length = stream.Length - stream.Position;
    private long position;

    public bool IsAtEnd => position == length;

    /// <summary>Valid until the next call.</summary>
    public ReadOnlySpan<byte> Take(int bytes)
    {
        Require(bytes);
        if (bytes > buffer.Length)
            throw new ContractException("rows.bin", $"has a name of {bytes} bytes");
        var taken = buffer.AsSpan(0, bytes);
        stream.ReadExactly(taken);
        position += bytes;
        return taken;
    }

    public int Int32() => MemoryMarshal.Read<int>(Take(sizeof(int)));

    public int[] Int32s(int count)
    {
        var bytes = (long)count * sizeof(int);
        Require(bytes);
        var numbers = new int[count];
        stream.ReadExactly(MemoryMarshal.AsBytes(numbers.AsSpan()));
        position += bytes;
        return numbers;
    }

    /// <summary>The next whole rows, as many as the buffer holds. Valid until the next call.</summary>
    public ReadOnlySpan<float> Rows(int most, int width) =>
        MemoryMarshal.Cast<byte, float>(Take(Math.Min(most, buffer.Length / (width * sizeof(float))) * width * sizeof(float)));

    public void Skip(long bytes)
    {
        for (Require(bytes); bytes > 0;)
            bytes -= Take((int)Math.Min(bytes, buffer.Length)).Length;
    }

    public void Align(int bytes) => Skip((bytes - position % bytes) % bytes);

    private void Require(long bytes)
    {
        if (bytes < 0 || bytes > length - position)
            throw new ContractException("rows.bin", "is cut short");
    }
}
