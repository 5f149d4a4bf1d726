using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using Grpc.Core;
using KdServing.Serving.Models;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Connections;

/// <summary>A ranking call on its way from the bytes of its request to those of its reply. Pooled.</summary>
/// <remarks>It arrives on the thread that reads the connection, is ranked on any, and is looked after by its <see cref="TakenCalls"/>.</remarks>
internal sealed class TakenCall : IThreadPoolWorkItem
{
    // What gRPC puts before a message: whether it is compressed, and its length.
    private const int PrefixBytes = 5;
    private const int MaxPooled = 256;

    // As Grpc.AspNetCore has it by default.
    private const int MaxMessageBytes = 4 << 20;

    private static readonly ConcurrentQueue<TakenCall> Pool = new();

    private readonly byte[] prefix = new byte[PrefixBytes];
    private CancellationTokenSource cancellation = new();
    private TakenCalls owner = null!;
    private CallBudget budget;
    private RankCall? call;
    private int prefixed;
    private int missing;

    private TakenCall()
    {
    }

    public int Stream { get; private set; }

    /// <summary>Its request has arrived whole.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>Bytes of the client's window that its request has used, and those of them that were given back.</summary>
    public int Arrived { get; set; }

    public int Credited { get; set; }

    /// <summary>Bytes of its reply that the client takes beyond what it takes of every stream.</summary>
    public long Window { get; set; }

    /// <summary>Its reply has begun to be sent, and so many bytes of it were.</summary>
    public bool IsReplying { get; set; }

    public int Sent { get; set; }

    /// <summary>There once it is ranked.</summary>
    public RankedReply? Reply { get; private set; }

    /// <summary>There once it has failed: the frame that says so, of stream 0.</summary>
    public byte[] Failure { get; private set; } = [];

    public bool IsCancelled => cancellation.IsCancellationRequested;

    /// <param name="timeout">From now on; null: none.</param>
    public static TakenCall Rent(TakenCalls owner, int stream, TimeSpan? timeout)
    {
        if (!Pool.TryDequeue(out var taken))
            taken = new();
        (taken.owner, taken.Stream) = (owner, stream);
        taken.budget = timeout is { } patience ? new(patience, taken.cancellation.Token) : new(DateTime.MaxValue, taken.cancellation.Token);
        return taken;
    }

    /// <summary>Takes a piece of the request.</summary>
    /// <returns>False: it is none, and <see cref="Failure"/> says why.</returns>
    public bool Append(ReadOnlySequence<byte> piece, bool ends)
    {
        if (prefixed < PrefixBytes)
        {
            var take = (int)Math.Min(PrefixBytes - prefixed, piece.Length);
            piece.Slice(0, take).CopyTo(prefix.AsSpan(prefixed));
            piece = piece.Slice(take);
            prefixed += take;
            if (prefixed < PrefixBytes)
                return !ends || Fails(StatusCode.Internal, "Incomplete message.");
            missing = BinaryPrimitives.ReadInt32BigEndian(prefix.AsSpan(1));
            if (prefix[0] != 0)
                return Fails(StatusCode.Internal, "Request did not include grpc-encoding value with compressed message.");
            if (missing is < 0 or > MaxMessageBytes)
                return Fails(StatusCode.ResourceExhausted, "Received message exceeds the maximum configured message size.");
            call = RankCall.Begin();
        }
        if (piece.Length > missing)
            return Fails(StatusCode.Internal, "Additional data after the message received.");
        call!.Append(piece);
        missing -= (int)piece.Length;
        if (!ends)
            return true;
        if (missing > 0)
            return Fails(StatusCode.Internal, "Incomplete message.");
        call.End();
        return IsWhole = true;
    }

    public void Cancel() => cancellation.Cancel();

    public void Execute() => _ = RunAsync();

    /// <summary>Gives the object, and what it holds, back.</summary>
    public void Return()
    {
        Reply?.Return();
        // Of one that was ranked the service has given it back.
        if (!IsWhole)
            call?.Return();
        (owner, call, Reply, Failure) = (null!, null, null, []);
        (prefixed, missing, Arrived, Credited, Window, Sent) = (0, 0, 0, 0, 0, 0);
        (IsWhole, IsReplying) = (false, false);
        if (!cancellation.TryReset())
        {
            cancellation.Dispose();
            cancellation = new();
        }
        if (Pool.Count < MaxPooled)
            Pool.Enqueue(this);
    }

    private bool Fails(StatusCode code, string message)
    {
        Failure = CallFrames.Failure(code, message, []);
        return false;
    }

    private async Task RunAsync()
    {
        try
        {
            Reply = await owner.Endpoint.RankAsync(call!, budget);
        }
        catch (RpcException e)
        {
            Failure = CallFrames.Failure(e.StatusCode, e.Status.Detail, e.Trailers);
        }
        // Nothing else is promised to be thrown; but a call that is never answered would be worse.
        catch (Exception)
        {
            Failure = CallFrames.Failure(StatusCode.Internal, "the server failed", []);
        }
        owner.End(this);
    }
}
