using System.Buffers;
using System.Buffers.Binary;

namespace KdServing.Serving.Connections;

/// <summary>Frames that answer what was read of a connection, to be sent when it is judged. One thread at a time.</summary>
internal sealed class FrameAnswers
{
    private const int NumberBytes = Http2Frame.HeaderBytes + sizeof(int);
    private const int SettingBytes = sizeof(short) + sizeof(int);

    private readonly ArrayBufferWriter<byte> frames = new();

    public bool IsEmpty => frames.WrittenCount == 0;

    /// <summary>Whole frames; forgets them.</summary>
    public ReadOnlySpan<byte> Take()
    {
        var written = frames.WrittenSpan;
        frames.ResetWrittenCount();
        return written;
    }

    /// <param name="frame">Of any stream.</param>
    public void Add(ReadOnlySpan<byte> frame, int stream)
    {
        var answer = frames.GetSpan(frame.Length)[..frame.Length];
        frame.CopyTo(answer);
        Http2Frame.WriteStream(answer, stream);
        frames.Advance(answer.Length);
    }

    /// <param name="type">WINDOW_UPDATE or RST_STREAM.</param>
    public void AddNumber(FrameType type, int stream, int number)
    {
        Http2Frame.WriteNumber(frames.GetSpan(NumberBytes), type, stream, number);
        frames.Advance(NumberBytes);
    }

    /// <summary>Asks the client to do otherwise from now on.</summary>
    public void AddSetting(Http2Setting setting, int value)
    {
        var frame = frames.GetSpan(Http2Frame.HeaderBytes + SettingBytes)[..(Http2Frame.HeaderBytes + SettingBytes)];
        Http2Frame.Write(frame, SettingBytes, FrameType.Settings, 0, 0);
        BinaryPrimitives.WriteInt16BigEndian(frame[Http2Frame.HeaderBytes..], (short)setting);
        BinaryPrimitives.WriteInt32BigEndian(frame[(Http2Frame.HeaderBytes + sizeof(short))..], value);
        frames.Advance(frame.Length);
    }
}
