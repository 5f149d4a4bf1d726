using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Connections;

namespace KdServing.Serving.Connections;

/// <summary>
/// Says of each frame of a connection whether it is Kestrel's. Ranking calls are taken here (<see cref="TakenCalls"/>); one that comes while there is no room is
/// refused, and the rest of what belongs to it is dropped unread.
/// </summary>
/// <remarks>One connection's, in the order of its frames; one thread at a time.</remarks>
/// <param name="time">Null: the system's.</param>
internal sealed class FrameJudge(Refusals refusals, TakenCalls calls, ConnectionOutput output, TimeProvider? time = null)
{
    // A header block beyond that is left to Kestrel.
    private const int MaxBlock = 4096;
    // Refused calls whose body is still to come. A client that never ends its bodies is left to Kestrel, which resets streams.
    private const int MaxOpen = 512;
    // What is not Kestrel's is given back to the connection's window in pieces of that size, a sixty-fourth of it.
    private const int CreditBytes = 128 * 1024;
    private const int PriorityBytes = 5;
    private const int SettingBytes = 6;
    private const int InitialWindowSetting = 4;

    // Kestrel closes a connection on which it sees no call for 130 s: it is shown one now and then.
    private static readonly TimeSpan MaxUnseen = TimeSpan.FromSeconds(30);

    // SETTINGS_HEADER_TABLE_SIZE 0: headers then come whole, and a call can be answered without Kestrel's having read it.
    private static readonly byte[] EmptyTableSetting = [0, 0, 6, (byte)FrameType.Settings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    private readonly HashSet<int> open = [];
    private readonly ArrayBufferWriter<byte> answers = new();
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private long lastPassed = (time ?? TimeProvider.System).GetTimestamp();
    private Refusal? refusal;
    private int asked;
    private int newest;
    private int newestPassed;
    private int credit;
    private bool isAskedForEmptyTable;
    private bool isTableEmpty;

    /// <summary>Frames to send, and forgets them.</summary>
    public ReadOnlySpan<byte> TakeAnswers()
    {
        var written = answers.WrittenSpan;
        answers.ResetWrittenCount();
        return written;
    }

    public bool HasAnswers => answers.WrittenCount > 0;

    /// <summary>True if the frame can be judged only with its payload. May be asked again when more has arrived.</summary>
    public bool NeedsPayload(in Http2Frame frame)
    {
        switch (frame.Type)
        {
            case FrameType.Data:
                return calls.Has(frame.Stream);
            case FrameType.Settings:
                return !frame.Has(Http2Frame.Acknowledgement) && frame.Length <= MaxBlock;
            case FrameType.WindowUpdate:
                return frame.Length == sizeof(int) && (frame.Stream == 0 || calls.Has(frame.Stream));
            case FrameType.Headers when frame.Stream % 2 == 1 && frame.Stream <= newest:
                return (open.Contains(frame.Stream) || calls.Has(frame.Stream)) && IsReadable(frame);
            case FrameType.Headers when frame.Stream % 2 == 1:
                if (frame.Stream != asked)
                    (asked, refusal) = (frame.Stream, refusals.UnlessExpected());
                if (open.Count >= MaxOpen)
                    refusal = null;
                return IsReadable(frame);
            default:
                return false;
        }
    }

    /// <summary>True if the frame is not for Kestrel.</summary>
    /// <param name="payload">Empty unless <see cref="NeedsPayload"/>. Of WINDOW_UPDATE Kestrel is told a part: it is written over.</param>
    /// <exception cref="ConnectionAbortedException">What belongs to a call that is not Kestrel's can not be told from the rest of the connection any more.</exception>
    public bool Drops(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Headers when frame.Stream > newest && frame.Stream % 2 == 1:
                return DropsCall(frame, payload);
            case FrameType.Headers:
                return (open.Contains(frame.Stream) || calls.Has(frame.Stream)) && DropsTrailers(frame, payload);
            case FrameType.Data:
                return calls.Has(frame.Stream) ? TakesBody(frame, payload) : open.Contains(frame.Stream) && DropsBody(frame);
            case FrameType.ResetStream:
                return open.Remove(frame.Stream) || calls.Cancel(frame.Stream) || IsUnknownToKestrel(frame.Stream);
            case FrameType.WindowUpdate when frame.Stream == 0:
                return !payload.IsEmpty && !TellsKestrel(payload);
            case FrameType.WindowUpdate:
                return (!payload.IsEmpty && calls.AddWindow(frame.Stream, Number(payload))) || IsUnknownToKestrel(frame.Stream);
            case FrameType.Settings:
                ReadSettings(payload);
                return false;
            default:
                return false;
        }
    }

    /// <summary>The connection has ended.</summary>
    public void End() => calls.CancelAll();

    // To Kestrel such a stream is one the client has not opened yet: it would end the connection. Older ones it knows to be closed.
    private bool IsUnknownToKestrel(int stream) => stream > newestPassed && stream <= newest;

    private static bool IsReadable(in Http2Frame headers) => headers.Length <= MaxBlock && headers.Has(Http2Frame.EndHeaders) && !headers.Has(Http2Frame.Padded);

    private bool DropsCall(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        newest = frame.Stream;
        var headers = payload.IsEmpty ? default : Read(frame, payload);
        isTableEmpty |= headers.EmptiesTable && isAskedForEmptyTable;
        if (headers.Kind == HeaderBlockKind.UsesTable)
            AskForEmptyTable();
        if (headers.Kind == HeaderBlockKind.Ranking && (Refuses(frame) || Takes(frame, headers)))
            return true;
        newestPassed = frame.Stream;
        lastPassed = time.GetTimestamp();
        return false;
    }

    private bool Refuses(in Http2Frame frame)
    {
        if (refusal is null)
            return false;
        refusals.Count();
        Answer(refusal.Frame, frame.Stream);
        if (!frame.Has(Http2Frame.EndStream))
            open.Add(frame.Stream);
        return true;
    }

    private bool Takes(in Http2Frame frame, in HeaderBlock headers) =>
        headers.IsPlain && !frame.Has(Http2Frame.EndStream) && time.GetElapsedTime(lastPassed) < MaxUnseen && calls.TryBegin(frame.Stream, headers.Timeout);

    private HeaderBlock Read(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        if (payload.IsSingleSegment)
            return Read(frame, payload.FirstSpan);
        Span<byte> copy = stackalloc byte[MaxBlock];
        payload.CopyTo(copy);
        return Read(frame, copy[..frame.Length]);
    }

    private HeaderBlock Read(in Http2Frame frame, ReadOnlySpan<byte> payload) =>
        HeaderBlock.Read(payload[(frame.Has(Http2Frame.HasPriority) ? Math.Min(PriorityBytes, frame.Length) : 0)..], isTableEmpty);

    private void AskForEmptyTable()
    {
        if (isAskedForEmptyTable)
            return;
        isAskedForEmptyTable = true;
        answers.Write(EmptyTableSetting);
    }

    private void ReadSettings(in ReadOnlySequence<byte> payload)
    {
        Span<byte> room = stackalloc byte[MaxBlock];
        payload.CopyTo(room);
        for (ReadOnlySpan<byte> rest = room[..(int)payload.Length]; rest.Length >= SettingBytes; rest = rest[SettingBytes..])
        {
            if (BinaryPrimitives.ReadUInt16BigEndian(rest) == InitialWindowSetting)
                calls.SetStreamWindow(BinaryPrimitives.ReadUInt32BigEndian(rest[2..]));
        }
    }

    // What it was not told it does not miss: replies of ours went out for it.
    private bool TellsKestrel(in ReadOnlySequence<byte> payload)
    {
        var bytes = Number(payload);
        if (bytes == 0)
            return true;
        var told = output.AddCredit(bytes);
        Span<byte> number = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(number, told);
        // The bytes are this connection's alone, and Kestrel is given these in place of those that came.
        foreach (var piece in payload)
        {
            number[..piece.Length].CopyTo(MemoryMarshal.AsMemory(piece).Span);
            number = number[piece.Length..];
        }
        return told > 0;
    }

    private static int Number(in ReadOnlySequence<byte> payload)
    {
        Span<byte> number = stackalloc byte[sizeof(int)];
        payload.CopyTo(number);
        return BinaryPrimitives.ReadInt32BigEndian(number) & int.MaxValue;
    }

    private bool DropsTrailers(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        if (payload.IsEmpty || Read(frame, payload).Kind == HeaderBlockKind.UsesTable)
            throw new ConnectionAbortedException("trailers of a call that is not Kestrel's can not be dropped: they use the connection's header table");
        if (!open.Remove(frame.Stream) && frame.Has(Http2Frame.EndStream))
            Answer(calls.Append(frame.Stream, default, flow: 0, ends: true, out _), frame.Stream);
        return true;
    }

    private bool DropsBody(in Http2Frame frame)
    {
        GiveBackLater(frame.Length);
        if (frame.Has(Http2Frame.EndStream))
            open.Remove(frame.Stream);
        else if (frame.Length > 0)
            GiveBack(frame.Stream, frame.Length);
        return true;
    }

    private bool TakesBody(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        GiveBackLater(frame.Length);
        var ends = frame.Has(Http2Frame.EndStream);
        var padding = frame.Has(Http2Frame.Padded) && frame.Length > 0 ? payload.FirstSpan[0] + 1 : 0;
        var body = padding == 0 ? payload : payload.Slice(1, Math.Max(0, frame.Length - padding));
        var failure = calls.Append(frame.Stream, body, frame.Length, ends, out var taken);
        Answer(failure, frame.Stream);
        // What is still to come of a call that failed is dropped.
        if (!ends && failure.Length > 0)
            open.Add(frame.Stream);
        if (taken > 0)
            GiveBack(frame.Stream, taken);
        return true;
    }

    private void Answer(ReadOnlySpan<byte> frame, int stream)
    {
        if (frame.IsEmpty)
            return;
        var answer = answers.GetSpan(frame.Length)[..frame.Length];
        frame.CopyTo(answer);
        Http2Frame.WriteStream(answer, stream);
        answers.Advance(answer.Length);
    }

    private void GiveBackLater(int bytes)
    {
        credit += bytes;
        if (credit < CreditBytes)
            return;
        GiveBack(0, credit);
        credit = 0;
    }

    private void GiveBack(int stream, int bytes)
    {
        const int FrameBytes = Http2Frame.HeaderBytes + sizeof(int);
        Http2Frame.WriteNumber(answers.GetSpan(FrameBytes), FrameType.WindowUpdate, stream, bytes);
        answers.Advance(FrameBytes);
    }
}
