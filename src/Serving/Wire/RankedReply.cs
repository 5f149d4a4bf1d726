using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Serving.Wire;

/// <summary>
/// A <see cref="RankReply"/> whose long fields are written as bytes while the scores are at hand; the short ones are those of
/// <see cref="Header"/>. On the wire one follows the other, which is the same message.
/// </summary>
/// <remarks>Pooled: <see cref="WriteTo"/> gives it back. One thread at a time.</remarks>
public sealed class RankedReply
{
    private const int MaxPooled = 256;
    private const int LengthDelimited = 2;
    private const int MaxVarintBytes = 10;

    private static readonly ConcurrentQueue<RankedReply> Pool = new();

    // What gRPC puts before a message: not compressed, and its length.
    private const int PrefixBytes = 5;

    private byte[] bytes = new byte[1024];
    private int length = PrefixBytes;
    private bool isFinished;

    private RankedReply()
    {
    }

    /// <summary>Every field but <c>index</c> and <c>targets</c>.</summary>
    public RankReply Header { get; private set; } = new();

    public static RankedReply Rent() => Pool.TryDequeue(out var reply) ? reply : new();

    /// <summary>Positions of the chosen candidates.</summary>
    public void AddIndex(ReadOnlySpan<int> index)
    {
        if (index.IsEmpty)
            return;
        Reserve(2 * MaxVarintBytes + index.Length * MaxVarintBytes);
        var size = 0;
        foreach (var i in index)
            size += VarintSize((uint)i);
        Tag(RankReply.IndexFieldNumber, size);
        foreach (var i in index)
            Varint((uint)i);
    }

    /// <summary>One target's values.</summary>
    /// <param name="scores">Of every candidate, <paramref name="stride"/> floats apart.</param>
    /// <param name="logits">As the scores; empty: not asked for.</param>
    /// <param name="index">Candidates to reply with; empty: all.</param>
    public void AddTarget(string name, ReadOnlySpan<float> scores, ReadOnlySpan<float> logits, int stride, int candidates, ReadOnlySpan<int> index)
    {
        var count = index.IsEmpty ? candidates : index.Length;
        var list = count == 0 ? 0 : 1 + VarintSize((uint)(count * sizeof(float))) + count * sizeof(float);
        var nameBytes = Encoding.UTF8.GetByteCount(name);
        var size = 1 + VarintSize((uint)nameBytes) + nameBytes + list + (logits.IsEmpty ? 0 : list);
        Reserve(2 * MaxVarintBytes + size);
        Tag(RankReply.TargetsFieldNumber, size);
        Tag(TargetScores.TargetFieldNumber, nameBytes);
        length += Encoding.UTF8.GetBytes(name, bytes.AsSpan(length));
        AddFloats(TargetScores.ScoresFieldNumber, scores, stride, count, index);
        if (!logits.IsEmpty)
            AddFloats(TargetScores.LogitsFieldNumber, logits, stride, count, index);
    }

    /// <summary>Serialises the reply and gives the object back.</summary>
    public static void WriteTo(RankedReply reply, Grpc.Core.SerializationContext context)
    {
        var message = reply.Finish()[PrefixBytes..];
        context.SetPayloadLength(message.Length);
        context.GetBufferWriter().Write(message);
        context.Complete();
        reply.Return();
    }

    /// <summary>The reply as gRPC sends it, its prefix included; nothing can be added any more.</summary>
    internal ReadOnlySpan<byte> Finish()
    {
        if (isFinished)
            return bytes.AsSpan(0, length);
        isFinished = true;
        // First, as in a generated message: who wants the request's id alone need not read all scores.
        var header = Header.CalculateSize();
        Reserve(header);
        bytes.AsSpan(PrefixBytes..length).CopyTo(bytes.AsSpan(PrefixBytes + header));
        Header.WriteTo(bytes.AsSpan(PrefixBytes, header));
        length += header;
        bytes[0] = 0;
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(1), length - PrefixBytes);
        return bytes.AsSpan(0, length);
    }

    /// <summary>Gives the object back; nothing of it may be used afterwards.</summary>
    internal void Return()
    {
        (length, isFinished) = (PrefixBytes, false);
        Header = new();
        if (Pool.Count < MaxPooled)
            Pool.Enqueue(this);
    }

    private void AddFloats(int field, ReadOnlySpan<float> values, int stride, int count, ReadOnlySpan<int> index)
    {
        if (count == 0)
            return;
        Tag(field, count * sizeof(float));
        var to = MemoryMarshal.Cast<byte, float>(bytes.AsSpan(length, count * sizeof(float)));
        if (index.IsEmpty && stride == 1)
        {
            values[..count].CopyTo(to);
        }
        else
        {
            for (var i = 0; i < count; i++)
                to[i] = values[(index.IsEmpty ? i : index[i]) * stride];
        }
        length += count * sizeof(float);
    }

    private void Tag(int field, int size)
    {
        Varint((uint)(field << 3 | LengthDelimited));
        Varint((uint)size);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Varint(uint value)
    {
        for (; value >= 0x80; value >>= 7)
            bytes[length++] = (byte)(value | 0x80);
        bytes[length++] = (byte)value;
    }

    private static int VarintSize(uint value) => 1 + (31 - System.Numerics.BitOperations.LeadingZeroCount(value | 1)) / 7;

    private void Reserve(int more)
    {
        if (bytes.Length - length < more)
            Array.Resize(ref bytes, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(length + more)));
    }
}
