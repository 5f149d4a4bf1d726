using System.Buffers.Binary;

namespace KdServing.Serving.Connections;

/// <summary>Frame types of RFC 9113, section 6, that this repository's HTTP/2 looks at: the server's refusals, and the load tester, which compiles this file too.</summary>
internal enum FrameType : byte
{
    Data = 0,
    Headers = 1,
    ResetStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
}

/// <summary>What either side tells the other in SETTINGS (section 6.5.2), as far as it is looked at here.</summary>
internal enum Http2Setting : short
{
    HeaderTableSize = 1,
    MaxConcurrentStreams = 3,
    InitialWindowSize = 4,
}

/// <summary>The nine bytes before a frame's payload (RFC 9113, section 4.1).</summary>
internal readonly record struct Http2Frame(int Length, FrameType Type, byte Flags, int Stream)
{
    public const int HeaderBytes = 9;

    /// <summary>Largest payload either side sends unless the other allows more.</summary>
    public const int MaxPayload = 16_384;

    public const byte EndStream = 0x1;
    public const byte Acknowledgement = 0x1;
    public const byte EndHeaders = 0x4;
    public const byte Padded = 0x8;
    public const byte HasPriority = 0x20;

    public bool Has(byte flag) => (Flags & flag) != 0;

    public static Http2Frame Read(ReadOnlySpan<byte> from) => new(
        (from[0] << 16) | (from[1] << 8) | from[2],
        (FrameType)from[3],
        from[4],
        BinaryPrimitives.ReadInt32BigEndian(from[5..]) & int.MaxValue);

    /// <summary>The frame at the start, its header included; empty when there is not all of one.</summary>
    public static ReadOnlySpan<byte> First(ReadOnlySpan<byte> frames)
    {
        if (frames.Length < HeaderBytes)
            return default;
        var length = HeaderBytes + Read(frames).Length;
        return frames.Length < length ? default : frames[..length];
    }

    public static void Write(Span<byte> to, int length, FrameType type, byte flags, int stream)
    {
        (to[0], to[1], to[2]) = ((byte)(length >> 16), (byte)(length >> 8), (byte)length);
        (to[3], to[4]) = ((byte)type, flags);
        WriteStream(to, stream);
    }

    /// <summary>Puts another stream's number into a frame that is written already.</summary>
    public static void WriteStream(Span<byte> frame, int stream) => BinaryPrimitives.WriteInt32BigEndian(frame[5..], stream);

    /// <summary>A frame of one 32-bit number: WINDOW_UPDATE or RST_STREAM.</summary>
    public static void WriteNumber(Span<byte> to, FrameType type, int stream, int number)
    {
        Write(to, sizeof(int), type, 0, stream);
        BinaryPrimitives.WriteInt32BigEndian(to[HeaderBytes..], number);
    }
}
