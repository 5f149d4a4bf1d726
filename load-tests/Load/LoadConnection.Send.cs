using System.Net.Sockets;
using KdServing.Serving.Connections;

namespace KdServing.LoadTests.Load;

// The sending side: requests out as frames, as far as flow control takes them. All under the gate.
internal sealed partial class LoadConnection
{
    // What waits, in order.
    private void Drain()
    {
        try
        {
            while (!isBlocked && waiting.TryPeek(out var next) && TryBegin(next.Request, next.IntendedNs))
                waiting.Dequeue();
            SendGathered();
        }
        catch (SocketException)
        {
            // The receiver sees it too, and accounts for what is under way.
            socket.Dispose();
        }
    }

    private bool TryBegin(int request, long intendedNs)
    {
        Exchange exchange;
        if (opening is null)
        {
            exchange = Slot(nextStream);
            if (active >= maxStreams || exchange.Stream != 0)
                return false;
            exchange.Open(nextStream, initialStreamWindow);
            nextStream += 2;
            active++;
        }
        else
        {
            exchange = exchanges[turn++ % exchanges.Length];
            if (exchange.IsFull || exchange.Unsent is not null)
                return false;
        }
        var encoded = requests[request];
        var now = MonotonicClock.NowNs();
        if (encoded.TimeoutAt >= 0)
            HeaderBlock.WriteTimeout(encoded.Bytes.AsSpan(encoded.TimeoutAt), options.DeadlineMs - (now - intendedNs) / 1_000_000);
        exchange.Add(new(request, intendedNs, now, versions.Newest));
        (exchange.Unsent, exchange.NextFrame) = (encoded, 0);
        SendFrames(exchange);
        return true;
    }

    // As much of an exchange's request as the windows take.
    private void SendFrames(Exchange exchange)
    {
        if (exchange.Unsent is not { } request)
            return;
        var (begin, next) = (exchange.NextFrame, exchange.NextFrame);
        for (; next < request.FrameStarts.Length - 1; next++)
        {
            var bytes = request.Bytes.AsSpan(request.FrameStarts[next]);
            var frame = Http2Frame.Read(bytes);
            if (frame.Type == FrameType.Data)
            {
                isBlocked |= frame.Length > sendWindow;
                if (isBlocked || frame.Length > exchange.SendWindow)
                    break;
                sendWindow -= frame.Length;
                exchange.SendWindow -= frame.Length;
            }
            // The same request of the pool may be under way on other streams.
            Http2Frame.WriteStream(bytes, exchange.Stream);
        }
        if (next > begin)
            Gather(request.Bytes.AsSpan(request.FrameStarts[begin], request.FrameStarts[next] - request.FrameStarts[begin]));
        exchange.NextFrame = next;
        if (next == request.FrameStarts.Length - 1)
            exchange.Unsent = null;
    }

    // The windows of all have changed. Those that have waited longest first.
    private void SendAllFrames()
    {
        isBlocked = false;
        if (opening is null)
        {
            for (var stream = oldestStream; stream < nextStream && !isBlocked; stream += 2)
            {
                if (Slot(stream) is { } exchange && exchange.Stream == stream)
                    SendFrames(exchange);
            }
            return;
        }
        foreach (var exchange in exchanges)
            SendFrames(exchange);
    }

    private void GatherNumber(FrameType type, int stream, int number)
    {
        Http2Frame.WriteNumber(control, type, stream, number);
        Gather(control.AsSpan(0, Http2Frame.HeaderBytes + sizeof(int)));
    }

    // To be sent with what else there is.
    private void Gather(ReadOnlySpan<byte> bytes)
    {
        if (gatheredBytes + bytes.Length > gathered.Length || bytes.Length > MaxGathered)
            SendGathered();
        if (bytes.Length > MaxGathered)
        {
            Write(bytes);
            return;
        }
        bytes.CopyTo(gathered.AsSpan(gatheredBytes));
        gatheredBytes += bytes.Length;
    }

    private void SendGathered()
    {
        var bytes = gathered.AsSpan(0, gatheredBytes);
        gatheredBytes = 0;
        Write(bytes);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[socket.Send(bytes)..];
    }
}
