using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace KdServing.Serving.Shedding;

/// <summary>
/// Says of each frame of a connection whether Kestrel sees it, and answers those it does not see. A ranking call that comes while there is
/// no room is answered here, and the rest of what belongs to it is dropped unread.
/// </summary>
/// <remarks>One connection's, in the order of its frames; one thread at a time.</remarks>
internal sealed class FrameJudge(Refusals refusals)
{
    // A header block beyond that is left to Kestrel.
    private const int MaxBlock = 4096;
    // Refused calls whose body is still to come. A client that never ends its bodies is left to Kestrel, which resets streams.
    private const int MaxOpen = 512;
    // Dropped bytes are given back to the client's window in pieces of that size, a sixty-fourth of it.
    private const int CreditBytes = 128 * 1024;
    private const int PriorityBytes = 5;

    // SETTINGS_HEADER_TABLE_SIZE 0: headers then come whole, and a call can be refused without Kestrel's having read it.
    private static readonly byte[] EmptyTableSetting = [0, 0, 6, (byte)FrameType.Settings, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

    private readonly HashSet<int> open = [];
    private readonly ArrayBufferWriter<byte> answers = new();
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
        if (frame.Type != FrameType.Headers || frame.Stream % 2 == 0)
            return false;
        if (frame.Stream <= newest)
            return open.Contains(frame.Stream);
        if (frame.Stream != asked)
            (asked, refusal) = (frame.Stream, refusals.UnlessExpected());
        if (open.Count >= MaxOpen)
            refusal = null;
        return (refusal is not null || IsWaitingForEmptyTable) && frame.Length <= MaxBlock && frame.Has(Http2Frame.EndHeaders) && !frame.Has(Http2Frame.Padded);
    }

    /// <summary>True if the frame is not for Kestrel.</summary>
    /// <param name="payload">Empty unless <see cref="NeedsPayload"/>.</param>
    /// <exception cref="ConnectionAbortedException">What was refused can not be told from the rest of the connection any more.</exception>
    public bool Drops(in Http2Frame frame, ReadOnlySpan<byte> payload)
    {
        switch (frame.Type)
        {
            case FrameType.Headers when frame.Stream > newest && frame.Stream % 2 == 1:
                newest = frame.Stream;
                if (!payload.IsEmpty && Refuses(frame, payload))
                    return true;
                newestPassed = frame.Stream;
                return false;
            case FrameType.Headers:
                return open.Contains(frame.Stream) && DropsTrailers(frame, payload);
            case FrameType.Data:
                return open.Contains(frame.Stream) && DropsBody(frame);
            case FrameType.ResetStream:
                return open.Remove(frame.Stream) || IsUnknownToKestrel(frame.Stream);
            case FrameType.WindowUpdate:
                return IsUnknownToKestrel(frame.Stream);
            default:
                return false;
        }
    }

    // The block that says so comes once, be there room or not.
    private bool IsWaitingForEmptyTable => isAskedForEmptyTable && !isTableEmpty;

    // To Kestrel such a stream is one the client has not opened yet: it would end the connection. Older ones it knows to be closed.
    private bool IsUnknownToKestrel(int stream) => stream > newestPassed && stream <= newest;

    private bool Refuses(in Http2Frame frame, ReadOnlySpan<byte> payload)
    {
        var kind = Read(frame, payload, out var emptiesTable);
        isTableEmpty |= emptiesTable && isAskedForEmptyTable;
        if (refusal is null)
            return false;
        if (kind == HeaderBlockKind.UsesTable)
            AskForEmptyTable();
        if (kind != HeaderBlockKind.Ranking)
            return false;
        var answer = answers.GetSpan(refusal.Frame.Length)[..refusal.Frame.Length];
        refusal.Frame.CopyTo(answer);
        Http2Frame.WriteStream(answer, frame.Stream);
        answers.Advance(answer.Length);
        refusals.Count();
        if (!frame.Has(Http2Frame.EndStream))
            open.Add(frame.Stream);
        return true;
    }

    private HeaderBlockKind Read(in Http2Frame frame, ReadOnlySpan<byte> payload, out bool emptiesTable) =>
        HeaderBlock.Read(payload[(frame.Has(Http2Frame.HasPriority) ? Math.Min(PriorityBytes, payload.Length) : 0)..], isTableEmpty, out emptiesTable);

    private void AskForEmptyTable()
    {
        if (isAskedForEmptyTable)
            return;
        isAskedForEmptyTable = true;
        answers.Write(EmptyTableSetting);
    }

    private bool DropsTrailers(in Http2Frame frame, ReadOnlySpan<byte> payload)
    {
        if (payload.IsEmpty || Read(frame, payload, out _) == HeaderBlockKind.UsesTable)
            throw new ConnectionAbortedException("trailers of a refused call can not be dropped: they use the connection's header table");
        open.Remove(frame.Stream);
        return true;
    }

    private bool DropsBody(in Http2Frame frame)
    {
        credit += frame.Length;
        if (credit >= CreditBytes)
        {
            GiveBack(0, credit);
            credit = 0;
        }
        if (frame.Has(Http2Frame.EndStream))
            open.Remove(frame.Stream);
        else if (frame.Length > 0)
            GiveBack(frame.Stream, frame.Length);
        return true;
    }

    private void GiveBack(int stream, int bytes)
    {
        const int FrameBytes = Http2Frame.HeaderBytes + sizeof(int);
        Http2Frame.WriteNumber(answers.GetSpan(FrameBytes), FrameType.WindowUpdate, stream, bytes);
        answers.Advance(FrameBytes);
    }
}
