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
/// <param name="bodies">Kestrel's.</param>
/// <param name="time">Null: the system's.</param>
internal sealed class FrameJudge(Refusals refusals, TakenCalls calls, ConnectionOutput output, OpenBodies bodies, TimeProvider? time = null)
{
    // A header block beyond that is left to Kestrel.
    private const int MaxBlock = 4096;
    // What is not Kestrel's is given back to the connection's window in pieces of that size, an eighth of it: each is a call of the kernel here, and wakes the client.
    private const int CreditBytes = 1 << 20;
    private const int PriorityBytes = 5;
    private const int SettingBytes = 6;
    private const int NoError = 0;

    // Kestrel closes a connection on which it sees no call for 130 s: it is shown one now and then.
    private static readonly TimeSpan MaxUnseen = TimeSpan.FromSeconds(30);

    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly RequestWindow window = new(bodies, time ?? TimeProvider.System);
    private long lastPassed = (time ?? TimeProvider.System).GetTimestamp();
    private Refusal? refusal;
    private int asked;
    private int newest;
    private int newestPassed;
    private int credit;
    private bool isAskedForEmptyTable;
    private bool isTableEmpty;

    /// <summary>To send.</summary>
    public FrameAnswers Answers { get; } = new();

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
                return IsOver(frame.Stream) && IsReadable(frame);
            case FrameType.Headers when frame.Stream % 2 == 1:
                if (frame.Stream != asked)
                    (asked, refusal) = (frame.Stream, refusals.UnlessExpected());
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
                return IsOver(frame.Stream) ? DropsTrailers(frame, payload) : Passes(frame);
            case FrameType.Data:
                return calls.Has(frame.Stream) ? TakesBody(frame, payload) : IsOver(frame.Stream) ? DropsBody(frame) : Passes(frame);
            case FrameType.ResetStream:
                bodies.End(frame.Stream);
                return calls.Cancel(frame.Stream) || IsUnknownToKestrel(frame.Stream);
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

    // A call's that has begun; what comes of its body is not, or no more, for Kestrel.
    private bool IsOver(int stream) => stream % 2 == 1 && stream <= newest && !bodies.Has(stream);

    private bool Passes(in Http2Frame frame)
    {
        if (frame.Has(Http2Frame.EndStream))
            bodies.End(frame.Stream);
        return false;
    }

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
        if (!frame.Has(Http2Frame.EndStream))
        {
            window.LetPass(frame.Stream, Answers);
            bodies.Begin(frame.Stream);
        }
        return false;
    }

    private bool Refuses(in Http2Frame frame)
    {
        if (refusal is null)
            return false;
        refusals.Count();
        Answers.Add(refusal.Frame, frame.Stream);
        if (frame.Has(Http2Frame.EndStream))
            return true;
        Stop(frame.Stream);
        window.Refuse(calls, Answers);
        return true;
    }

    private bool Takes(in Http2Frame frame, in HeaderBlock headers)
    {
        if (!headers.IsPlain || frame.Has(Http2Frame.EndStream) || time.GetElapsedTime(lastPassed) >= MaxUnseen || !calls.TryBegin(frame.Stream, headers.Timeout))
            return false;
        window.LetPass(frame.Stream, Answers);
        return true;
    }

    // The answer has been sent: the rest of the body need not come (RFC 9113, section 8.1).
    private void Stop(int stream) => Answers.AddNumber(FrameType.ResetStream, stream, NoError);

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

    // Headers then come whole, and a call can be answered without Kestrel's having read it.
    private void AskForEmptyTable()
    {
        if (isAskedForEmptyTable)
            return;
        isAskedForEmptyTable = true;
        Answers.AddSetting(Http2Setting.HeaderTableSize, 0);
    }

    private void ReadSettings(in ReadOnlySequence<byte> payload)
    {
        Span<byte> room = stackalloc byte[MaxBlock];
        payload.CopyTo(room);
        for (ReadOnlySpan<byte> rest = room[..(int)payload.Length]; rest.Length >= SettingBytes; rest = rest[SettingBytes..])
        {
            if ((Http2Setting)BinaryPrimitives.ReadUInt16BigEndian(rest) == Http2Setting.InitialWindowSize)
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
        if (payload.IsEmpty || Read(frame, payload).Kind != HeaderBlockKind.Other)
            throw new ConnectionAbortedException("headers for a stream that is not Kestrel's can not be dropped as its trailers: they use the connection's header table, or begin another call");
        if (frame.Has(Http2Frame.EndStream) && calls.Append(frame.Stream, default, flow: 0, ends: true, out _) is { Length: > 0 } failure)
            Answers.Add(failure, frame.Stream);
        return true;
    }

    private bool DropsBody(in Http2Frame frame)
    {
        GiveBackLater(frame.Length);
        return true;
    }

    private bool TakesBody(in Http2Frame frame, in ReadOnlySequence<byte> payload)
    {
        GiveBackLater(frame.Length);
        var ends = frame.Has(Http2Frame.EndStream);
        var padding = frame.Has(Http2Frame.Padded) && frame.Length > 0 ? payload.FirstSpan[0] + 1 : 0;
        var body = padding == 0 ? payload : payload.Slice(1, Math.Max(0, frame.Length - padding));
        var failure = calls.Append(frame.Stream, body, frame.Length, ends, out var taken);
        if (failure.Length > 0)
        {
            Answers.Add(failure, frame.Stream);
            if (!ends)
                Stop(frame.Stream);
        }
        if (taken > 0)
            Answers.AddNumber(FrameType.WindowUpdate, frame.Stream, taken);
        return true;
    }

    private void GiveBackLater(int bytes)
    {
        credit += bytes;
        if (credit < CreditBytes)
            return;
        Answers.AddNumber(FrameType.WindowUpdate, 0, credit);
        credit = 0;
    }
}
