using System.Buffers;
using Grpc.Core;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Connections;

/// <summary>The ranking calls of one connection that are answered without Kestrel.</summary>
/// <remarks>They arrive on the thread that reads the connection, and end on any.</remarks>
internal sealed class TakenCalls(RankingEndpoint endpoint, Refusals refusals, OpenCalls openCalls, ConnectionOutput output, RankingMetrics metrics, RankingThreads threads)
{
    // More than that of one connection go to Kestrel, which bounds them; so do those of a client that does not take its replies.
    private const int MaxCalls = 512;
    // Of requests that are not whole yet: as much as a connection may send to Kestrel before some of it is taken.
    private const int MaxArriving = 8 << 20;
    // What a client may send of a body (RequestWindow) before it is told that some of it was taken.
    private const int CreditBytes = RequestWindow.Wide / 4;

    private static readonly byte[] TooMuch = CallFrames.Failure(StatusCode.ResourceExhausted,
        "too many requests of this connection have begun and not ended; end one before the next, or open more connections", []);

    private readonly Lock gate = new();
    private readonly Dictionary<int, TakenCall> calls = [];
    private long streamWindow = SharedWindow.Initial;
    private long arriving;

    public RankingEndpoint Endpoint => endpoint;

    /// <summary>A call is on its way, or its reply.</summary>
    public bool Has(int stream)
    {
        lock (gate)
            return calls.ContainsKey(stream);
    }

    /// <summary>The streams of calls whose requests have not arrived whole.</summary>
    public List<int> Arriving()
    {
        lock (gate)
            return [.. calls.Values.Where(c => !c.IsWhole).Select(c => c.Stream)];
    }

    /// <summary>Takes a call whose request is still to come.</summary>
    /// <param name="timeout">From now on; null: none.</param>
    /// <returns>False: it is Kestrel's.</returns>
    public bool TryBegin(int stream, TimeSpan? timeout)
    {
        if (output.IsCongested || IsFull || !openCalls.TryEnter())
            return false;
        var call = TakenCall.Rent(this, stream, timeout);
        lock (gate)
            calls.Add(stream, call);
        metrics.Took();
        return true;
    }

    /// <summary>Takes a piece of a call's request; with the last one it is ranked.</summary>
    /// <param name="flow">Bytes that the piece has used of the client's window.</param>
    /// <param name="credit">Bytes that are to be given back to it.</param>
    /// <returns>The frame, of stream 0, that says why there is nothing to rank; empty if all is well.</returns>
    public byte[] Append(int stream, in ReadOnlySequence<byte> piece, int flow, bool ends, out int credit)
    {
        credit = 0;
        TakenCall? call;
        // A client that goes on after its end is not listened to: the object may be another call's by now.
        lock (gate)
        {
            if (!calls.TryGetValue(stream, out call) || call.IsWhole)
                return [];
        }
        arriving += flow;
        call.Arrived += flow;
        var failure = !call.Append(piece, ends) ? call.Failure : arriving > MaxArriving ? TooMuch : [];
        if (failure.Length > 0)
        {
            Forget(call);
            return failure;
        }
        if (ends)
        {
            arriving -= call.Arrived;
            threads.Begin(call);
        }
        else if (call.Arrived - call.Credited >= CreditBytes)
        {
            credit = call.Arrived - call.Credited;
            call.Credited = call.Arrived;
        }
        return [];
    }

    /// <summary>Its client takes more of a call's reply.</summary>
    /// <returns>False: there is no such call.</returns>
    public bool AddWindow(int stream, int bytes)
    {
        lock (gate)
        {
            if (!calls.TryGetValue(stream, out var call))
                return false;
            call.Window += bytes;
            if (call.IsReplying)
                SendMore(call);
            return true;
        }
    }

    /// <summary>What the client takes of every stream's reply before it says more (SETTINGS_INITIAL_WINDOW_SIZE).</summary>
    public void SetStreamWindow(long bytes)
    {
        lock (gate)
        {
            streamWindow = bytes;
            foreach (var call in calls.Values.Where(c => c.IsReplying).ToList())
                SendMore(call);
        }
    }

    /// <summary>Its client has given a call up.</summary>
    /// <returns>False: there is no such call.</returns>
    public bool Cancel(int stream)
    {
        lock (gate)
        {
            if (!calls.TryGetValue(stream, out var call))
                return false;
            Cancel(call);
            return true;
        }
    }

    /// <summary>The connection has ended: nobody waits for any of them.</summary>
    public void CancelAll()
    {
        lock (gate)
        {
            foreach (var call in calls.Values.ToList())
                Cancel(call);
        }
    }

    /// <summary>A call was ranked, or has failed.</summary>
    public void End(TakenCall call)
    {
        if (!IsOver(call))
            return;
        try
        {
            Send(call);
        }
        finally
        {
            Leave(call);
        }
    }

    private bool IsFull
    {
        get
        {
            lock (gate)
                return calls.Count >= MaxCalls;
        }
    }

    // True: nothing but to send what there is to send, for which the lock is not held.
    private bool IsOver(TakenCall call)
    {
        var bytes = call.Reply?.Finish().Length ?? 0;
        lock (gate)
        {
            if (call.IsCancelled)
                Remove(call);
            else if (bytes > streamWindow + call.Window)
                SendMore(call);
            else
                return calls.Remove(call.Stream);
            return false;
        }
    }

    private void Send(TakenCall call)
    {
        if (call.Reply is { } reply)
        {
            output.Send(call.Stream, reply.Finish());
            return;
        }
        Http2Frame.WriteStream(call.Failure, call.Stream);
        _ = output.SendAsync(call.Failure);
    }

    // As much of the reply as the client takes of this stream.
    private void SendMore(TakenCall call)
    {
        var message = call.Reply!.Finish();
        var begins = !call.IsReplying;
        var count = (int)Math.Clamp(streamWindow + call.Window - call.Sent, 0, message.Length - call.Sent);
        var ends = call.Sent + count == message.Length;
        if (count > 0 || begins || ends)
            output.Send(call.Stream, message.Slice(call.Sent, count), begins, ends);
        call.IsReplying = true;
        call.Sent += count;
        if (ends)
            Remove(call);
    }

    private void Cancel(TakenCall call)
    {
        // One that is being ranked is removed when it has ended, which may be within Cancel.
        var (isArriving, isReplying) = (!call.IsWhole, call.IsReplying);
        call.Cancel();
        if (isArriving)
            Forget(call);
        else if (isReplying)
            Remove(call);
    }

    // One that will not be ranked.
    private void Forget(TakenCall call)
    {
        arriving -= call.Arrived;
        refusals.Unexpect();
        lock (gate)
            Remove(call);
    }

    private void Remove(TakenCall call)
    {
        calls.Remove(call.Stream);
        Leave(call);
    }

    private void Leave(TakenCall call)
    {
        call.Return();
        openCalls.Leave();
    }
}
