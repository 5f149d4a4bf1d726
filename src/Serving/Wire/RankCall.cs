using System.Buffers;
using System.Collections.Concurrent;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Wire;

/// <summary>
/// A received <see cref="RankRequest"/>, its columns still as bytes: they become table rows right where they are needed, without
/// the arrays that the generated parser would make of them.
/// </summary>
/// <remarks>
/// Wire-compatible with the generated message: what is not a column goes through the generated parser, so fields added to the proto
/// are read without a change here. Pooled: the service calls <see cref="Return"/> when it has answered; afterwards nothing of it may be used.
/// </remarks>
public sealed class RankCall
{
    // More than a machine of many cores has in flight; the rest is collected.
    private const int MaxPooled = 256;
    // A larger payload's buffer is not kept: one odd client must not raise memory for good.
    private const int MaxKeptBytes = 1 << 20;

    private static readonly ConcurrentQueue<RankCall> Pool = new();

    private readonly List<Range> user = [];
    private readonly List<Range> item = [];
    private byte[] payload = [];
    private byte[] rest = [];
    private int length;
    private Range candidates;

    private RankCall()
    {
    }

    /// <summary>Every field but <c>user</c>, <c>item</c> and the ids of <c>catalog</c>, for which see <see cref="Candidates"/>.</summary>
    public RankRequest Header { get; private set; } = new();

    /// <summary>The bytes are not a <see cref="RankRequest"/>; nothing else of this call means anything.</summary>
    public bool IsMalformed { get; private set; }

    internal int UserColumns => user.Count;

    internal int ItemColumns => item.Count;

    /// <summary>Copies a payload and finds its columns; never throws for what a client sent.</summary>
    public static RankCall Read(in ReadOnlySequence<byte> payload)
    {
        var call = Begin();
        call.Append(payload);
        call.End();
        return call;
    }

    /// <summary>A call whose payload comes in pieces: <see cref="Append"/> them, then <see cref="End"/>.</summary>
    internal static RankCall Begin()
    {
        if (!Pool.TryDequeue(out var call))
            call = new();
        call.length = 0;
        return call;
    }

    internal void Append(in ReadOnlySequence<byte> piece)
    {
        var bytes = checked(length + (int)piece.Length);
        // Eight bytes more than the message: varints are read a word at a time.
        if (payload.Length < bytes + sizeof(ulong))
        {
            var larger = Room(checked(bytes + Math.Max(sizeof(ulong), bytes / 2)));
            payload.AsSpan(0, length).CopyTo(larger);
            payload = larger;
        }
        piece.CopyTo(payload.AsSpan(length));
        length += (int)piece.Length;
    }

    /// <summary>The whole request as the generated message, for what only that can express.</summary>
    /// <exception cref="ContractException">It is malformed.</exception>
    public RankRequest ToMessage()
    {
        try
        {
            return RankRequest.Parser.ParseFrom(payload, 0, length);
        }
        catch (Exception e) when (UntrustedMessage.IsMalformed(e))
        {
            throw new ContractException("request", $"is not a RankRequest message: {e.Message}");
        }
    }

    /// <summary>Gives the object back to the pool.</summary>
    public void Return()
    {
        Header = new();
        if (payload.Length <= MaxKeptBytes && Pool.Count < MaxPooled)
            Pool.Enqueue(this);
    }

    /// <summary>A message of type <see cref="Column"/>.</summary>
    internal ReadOnlySpan<byte> UserColumn(int i) => payload.AsSpan(user[i]);

    /// <inheritdoc cref="UserColumn"/>
    internal ReadOnlySpan<byte> ItemColumn(int i) => payload.AsSpan(item[i]);

    /// <summary>A message of type <see cref="CatalogCandidates"/>; empty when the request has none, or one only the generated parser reads.</summary>
    internal ReadOnlySpan<byte> Candidates => payload.AsSpan(candidates);

    /// <summary>All of the payload is there: finds its columns; never throws for what a client sent.</summary>
    internal void End()
    {
        user.Clear();
        item.Clear();
        candidates = default;
        try
        {
            Scan();
            IsMalformed = false;
        }
        catch (Exception e) when (e is FormatException or OverflowException || UntrustedMessage.IsMalformed(e))
        {
            IsMalformed = true;
        }
    }

    // What is kept is pinned: copying pooled requests to an older generation was most of a pause of 19 ms (ADR 9).
    private static byte[] Room(int bytes) => GC.AllocateUninitializedArray<byte>(bytes, pinned: bytes <= MaxKeptBytes);

    private void Scan()
    {
        var reader = new ProtobufReader(payload.AsSpan(0, length));
        var (restLength, start) = (0, 0);
        CatalogCandidates? catalog = null;
        while (reader.Read())
        {
            if (reader is { HasBytes: true, Field: RankRequest.UserFieldNumber or RankRequest.ItemFieldNumber })
                (reader.Field == RankRequest.UserFieldNumber ? user : item).Add((reader.Position - reader.Bytes.Length)..reader.Position);
            else if (reader is { HasBytes: true, Field: RankRequest.CatalogFieldNumber } && catalog is null && WireCandidates.TryRead(reader.Bytes, out var found))
                (candidates, catalog) = ((reader.Position - reader.Bytes.Length)..reader.Position, new() { Unknown = found.Unknown });
            else
                restLength = Keep(start, reader.Position, restLength);
            start = reader.Position;
        }
        Header.MergeFrom(rest, 0, restLength);
        if (catalog is null)
            return;
        // Given in two parts: the generated parser puts them together.
        if (Header.Catalog is not null)
            (Header.Catalog, candidates) = (RankRequest.Parser.ParseFrom(payload, 0, length).Catalog, default);
        else
            Header.Catalog = catalog;
    }

    private int Keep(int start, int end, int restLength)
    {
        if (rest.Length < restLength + end - start)
            Array.Resize(ref rest, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(restLength + end - start)));
        payload.AsSpan(start..end).CopyTo(rest.AsSpan(restLength));
        return restLength + end - start;
    }
}
