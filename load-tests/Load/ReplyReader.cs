using System.Buffers.Binary;

namespace KdServing.LoadTests.Load;

/// <summary>Reads gRPC messages of one stream as they arrive in pieces. Keeps the beginning of a message, which holds the version, and counts the rest.</summary>
internal sealed class ReplyReader
{
    private const int PrefixBytes = 5;
    private const int BeginningBytes = 256; // request id (128 at most), model, version and watermark come before the scores
    private readonly byte[] beginning = new byte[PrefixBytes + BeginningBytes];
    private int received;

    /// <summary>Bytes of the last complete message; -1 before the first.</summary>
    public int MessageBytes { get; private set; } = -1;

    public void Reset() => (received, MessageBytes) = (0, -1);

    /// <summary>Takes bytes up to the end of the current message.</summary>
    /// <returns>True when the message is complete; the rest of the bytes, if any, belong to the next.</returns>
    public bool Take(ref ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            if (received < PrefixBytes)
            {
                var head = Math.Min(PrefixBytes - received, bytes.Length);
                bytes[..head].CopyTo(beginning.AsSpan(received));
                received += head;
                bytes = bytes[head..];
                if (received < PrefixBytes)
                    return false;
            }
            var length = BinaryPrimitives.ReadInt32BigEndian(beginning.AsSpan(1));
            var part = Math.Min(PrefixBytes + length - received, bytes.Length);
            if (received < beginning.Length)
                bytes[..Math.Min(part, beginning.Length - received)].CopyTo(beginning.AsSpan(received));
            received += part;
            bytes = bytes[part..];
            if (received == PrefixBytes + length)
            {
                (received, MessageBytes) = (0, length);
                return true;
            }
        }
        return false;
    }

    /// <summary>What is wrong with the last message as a reply to a request, or <see cref="Outcome.Served"/>.</summary>
    /// <param name="version">The version that scored it; 0 where it names none.</param>
    public Outcome Check(EncodedRequest request, out long version)
    {
        version = 0;
        var known = beginning.AsSpan(PrefixBytes, Math.Min(MessageBytes, BeginningBytes));
        var sameRequest = request.RequestId.Length == 0;
        // Fields come in the order of their numbers: 1 request_id, 2 model, 3 version.
        while (known.Length > 2 && known[0] is 0x0a or 0x12)
        {
            if (known[1] > 127 || known.Length < 2 + known[1])
                break;
            if (known[0] == 0x0a)
                sameRequest = known[2..(2 + known[1])].SequenceEqual(request.RequestId);
            known = known[(2 + known[1])..];
        }
        if (known.Length > 1 && known[0] == 0x18)
        {
            for (int i = 1, shift = 0; i < known.Length && shift < 63; i++, shift += 7)
            {
                version |= (long)(known[i] & 0x7f) << shift;
                if (known[i] < 0x80)
                    break;
            }
        }
        if (!sameRequest)
            return Outcome.RequestIdDiffers;
        if (version <= 0)
            return Outcome.NoVersion;
        return MessageBytes >= request.Candidates * sizeof(float) ? Outcome.Served : Outcome.ScoreCount;
    }
}
