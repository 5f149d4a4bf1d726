using System.Buffers.Binary;

namespace KdServing.Serving.Shedding;

/// <summary>The frame types of RFC 9113, section 6, that are looked at.</summary>
internal enum FrameType : byte
{
    Data = 0,
    Headers = 1,
    ResetStream = 3,
    Settings = 4,
    WindowUpdate = 8,
}

/// <summary>The nine bytes before a frame's payload (RFC 9113, section 4.1).</summary>
internal readonly record struct Http2Frame(int Length, FrameType Type, byte Flags, int Stream)
{
    public const int HeaderBytes = 9;

    public const byte EndStream = 0x1;
    public const byte EndHeaders = 0x4;
    public const byte Padded = 0x8;
    public const byte HasPriority = 0x20;

    public bool Has(byte flag) => (Flags & flag) != 0;

    public static Http2Frame Read(ReadOnlySpan<byte> from) => new(
        (from[0] << 16) | (from[1] << 8) | from[2],
        (FrameType)from[3],
        from[4],
        BinaryPrimitives.ReadInt32BigEndian(from[5..]) & int.MaxValue);

    public void Write(Span<byte> to)
    {
        (to[0], to[1], to[2]) = ((byte)(Length >> 16), (byte)(Length >> 8), (byte)Length);
        (to[3], to[4]) = ((byte)Type, Flags);
        BinaryPrimitives.WriteInt32BigEndian(to[5..], Stream);
    }
}
