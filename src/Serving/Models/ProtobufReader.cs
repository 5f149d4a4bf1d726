namespace KdServing.Serving.Models;

/// <summary>Walks the fields of a protobuf message in a buffer it does not trust; copies nothing.</summary>
internal ref struct ProtobufReader(ReadOnlySpan<byte> message)
{
    private readonly ReadOnlySpan<byte> message = message;
    private int position;

    /// <summary>Number of the field just read.</summary>
    public int Field { get; private set; }

    /// <summary>Where the next field begins: the end of the one just read.</summary>
    public readonly int Position => position;

    /// <summary>The field's value when it is a varint or fixed; its raw bits.</summary>
    public ulong Number { get; private set; }

    /// <summary>The field's value when it has a length: a string, bytes, a packed list or a message.</summary>
    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>True when <see cref="Bytes"/> holds the value.</summary>
    public bool HasBytes { get; private set; }

    /// <summary>Reads the next field; false at the end of the message.</summary>
    /// <exception cref="FormatException">Not protobuf.</exception>
    public bool Read()
    {
        if (position == message.Length)
            return false;
        var tag = Varint();
        if (tag > uint.MaxValue)
            throw new FormatException("a field number is out of its range");
        Field = (int)(tag >> 3);
        Number = 0;
        Bytes = default;
        HasBytes = false;
        switch (tag & 7)
        {
            case 0:
                Number = Varint();
                break;
            case 1:
                Number = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));
                break;
            case 2:
                Bytes = Take(Varint());
                HasBytes = true;
                break;
            case 5:
                Number = System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));
                break;
            default:
                throw new FormatException($"wire type {tag & 7}");
        }
        return true;
    }

    /// <summary>A varint at the reading position; also walks packed lists.</summary>
    public ulong Varint()
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (position == message.Length)
                break;
            var b = message[position++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
        throw new FormatException("a varint is cut short or too long");
    }

    public readonly bool AtEnd => position == message.Length;

    private ReadOnlySpan<byte> Take(ulong bytes)
    {
        if (bytes > (ulong)(message.Length - position))
            throw new FormatException("a field is longer than the message");
        var taken = message.Slice(position, (int)bytes);
        position += (int)bytes;
        return taken;
    }
}
