using System.Buffers.Binary;
using System.Net.Sockets;
using KdServing.Serving.Connections;

namespace KdServing.LoadTests.Load;

// The receiving side: frames in, outcomes out.
internal sealed partial class LoadConnection
{
    private const int RetryMs = 50;
    private const int AcknowledgeAfter = 1 << 28;

    private readonly byte[] buffer = new byte[1 << 18];
    private readonly TaskCompletionSource greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int finished;
    private int unacknowledged;

    private void Begin()
    {
        lock (gate)
            Greet();
        receiver.Start();
        if (!greeted.Task.Wait(HandshakePatience))
            throw new IOException($"{options.Address} answers, but does not speak HTTP/2");
        if (LastLoss is { } loss)
            throw new IOException($"{options.Address}: {loss}");
    }

    private void Receive()
    {
        while (!disposed)
        {
            try
            {
                ReceiveUntilLost();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
            {
                Lose(e.Message);
            }
            while (!disposed && !TryAgain())
                Thread.Sleep(RetryMs);
        }
    }

    private bool TryAgain()
    {
        try
        {
            var again = Connect();
            lock (gate)
            {
                socket.Dispose();
                socket = again;
                Greet();
            }
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private void ReceiveUntilLost()
    {
        var filled = 0;
        while (true)
        {
            var read = socket.Receive(buffer.AsSpan(filled));
            if (read == 0)
                throw new IOException("the server closed the connection");
            filled += read;
            var nowNs = MonotonicClock.NowNs();
            int taken, answered;
            lock (gate)
            {
                finished = 0;
                taken = HandleFrames(buffer.AsSpan(0, filled), nowNs);
                Drain();
                answered = finished;
            }
            buffer.AsSpan(taken, filled - taken).CopyTo(buffer);
            filled -= taken;
            if (answered > 0)
                Answered?.Invoke(this, answered);
        }
    }

    private void Lose(string why)
    {
        int answered;
        lock (gate)
        {
            LastLoss = why;
            isOpen = false;
            finished = 0;
            var nowNs = MonotonicClock.NowNs();
            foreach (var exchange in exchanges)
            {
                while (exchange.Count > 0)
                    Finish(exchange.Take(), nowNs, 0, Outcome.Unavailable);
                (exchange.Stream, exchange.Unsent) = (0, null);
            }
            while (waiting.TryDequeue(out var unsent))
                Finish(new(unsent.Request, unsent.IntendedNs, nowNs, 0), nowNs, 0, Outcome.Unavailable);
            answered = finished;
        }
        greeted.TrySetResult();
        if (answered > 0 && !disposed)
            Answered?.Invoke(this, answered);
    }

    private int HandleFrames(ReadOnlySpan<byte> bytes, long nowNs)
    {
        var taken = 0;
        while (bytes.Length - taken >= Http2Frame.HeaderBytes)
        {
            var frame = Http2Frame.Read(bytes[taken..]);
            if (bytes.Length - taken < Http2Frame.HeaderBytes + frame.Length)
                break;
            Handle(frame, bytes.Slice(taken + Http2Frame.HeaderBytes, frame.Length), nowNs);
            taken += Http2Frame.HeaderBytes + frame.Length;
        }
        return taken;
    }

    private void Handle(Http2Frame frame, ReadOnlySpan<byte> payload, long nowNs)
    {
        switch (frame.Type)
        {
            case FrameType.Data:
                HandleData(frame, payload, nowNs);
                break;
            case FrameType.Headers:
                HandleHeaders(frame, payload, nowNs);
                break;
            case FrameType.ResetStream when Find(frame.Stream) is { } exchange:
                Close(exchange, nowNs, Outcome.StreamReset);
                break;
            case FrameType.Settings when !frame.Has(Http2Frame.Acknowledgement):
                HandleSettings(payload);
                break;
            case FrameType.Ping when !frame.Has(Http2Frame.Acknowledgement):
                Http2Frame.Write(control, payload.Length, FrameType.Ping, Http2Frame.Acknowledgement, 0);
                payload.CopyTo(control.AsSpan(Http2Frame.HeaderBytes));
                Gather(control.AsSpan(0, Http2Frame.HeaderBytes + payload.Length));
                break;
            case FrameType.WindowUpdate:
                HandleWindowUpdate(frame.Stream, BinaryPrimitives.ReadInt32BigEndian(payload) & int.MaxValue);
                break;
            case FrameType.GoAway:
                var code = BinaryPrimitives.ReadInt32BigEndian(payload[4..]);
                throw new Http2Exception($"the server sent GOAWAY with error {code}");
            default:
                break;
        }
    }

    private void HandleWindowUpdate(int stream, int increment)
    {
        if (stream == 0)
        {
            sendWindow += increment;
            if (isBlocked)
                SendAllFrames();
        }
        else if (Find(stream) is { } exchange)
        {
            exchange.SendWindow += increment;
            if (!isBlocked)
                SendFrames(exchange);
        }
    }

    private Exchange? Find(int stream)
    {
        if (opening is null)
            return Slot(stream) is { } exchange && exchange.Stream == stream ? exchange : null;
        foreach (var exchange in exchanges)
        {
            if (exchange.Stream == stream)
                return exchange;
        }
        return null;
    }

    private void HandleData(Http2Frame frame, ReadOnlySpan<byte> payload, long nowNs)
    {
        unacknowledged += frame.Length;
        if (unacknowledged > AcknowledgeAfter)
        {
            GatherNumber(FrameType.WindowUpdate, 0, unacknowledged);
            unacknowledged = 0;
        }
        // Of a call that was given up.
        if (Find(frame.Stream) is not { } exchange)
            return;
        exchange.Received += frame.Length;
        if (exchange.Received > AcknowledgeAfter)
        {
            GatherNumber(FrameType.WindowUpdate, exchange.Stream, exchange.Received);
            exchange.Received = 0;
        }
        if (frame.Has(Http2Frame.Padded))
            payload = payload[1..^payload[0]];
        while (exchange.Reply.Take(ref payload))
        {
            if (opening is not null && exchange.Count > 0)
                FinishReply(exchange, nowNs);
        }
        if (frame.Has(Http2Frame.EndStream))
            Close(exchange, nowNs, (Outcome)Grpc.Core.StatusCode.Internal);
    }

    private void HandleHeaders(Http2Frame frame, ReadOnlySpan<byte> payload, long nowNs)
    {
        if (!frame.Has(Http2Frame.EndHeaders))
            throw new Http2Exception("the server sends more headers than fit a frame");
        if (!frame.Has(Http2Frame.EndStream) || Find(frame.Stream) is not { } exchange)
            return;
        if (frame.Has(Http2Frame.Padded))
            payload = payload[1..^payload[0]];
        if (frame.Has(Http2Frame.HasPriority))
            payload = payload[5..];
        var status = ReplyHeaders.Read(payload).GrpcStatus;
        if (status == 0 && opening is null && exchange.Count > 0 && exchange.Reply.MessageBytes >= 0)
            FinishReply(exchange, nowNs);
        Close(exchange, nowNs, status is > 0 and <= 16 ? (Outcome)status : (Outcome)Grpc.Core.StatusCode.Internal);
    }

    // A whole reply is there: the oldest request of the stream is answered.
    private void FinishReply(Exchange exchange, long nowNs)
    {
        var request = exchange.Take();
        var outcome = exchange.Reply.Check(requests[request.Request], out var version);
        if (outcome == Outcome.Served && version < request.VersionSeen && !options.AllowRollback)
            outcome = Outcome.VersionWentBack;
        if (outcome == Outcome.Served)
            versions.Saw(version);
        Finish(request, nowNs, version, outcome);
    }

    private void HandleSettings(ReadOnlySpan<byte> payload)
    {
        for (; payload.Length >= 6; payload = payload[6..])
        {
            long value = BinaryPrimitives.ReadUInt32BigEndian(payload[2..]);
            switch ((Http2Setting)BinaryPrimitives.ReadInt16BigEndian(payload))
            {
                case Http2Setting.MaxConcurrentStreams:
                    maxStreams = value;
                    break;
                case Http2Setting.InitialWindowSize:
                    foreach (var exchange in exchanges)
                        exchange.SendWindow += value - initialStreamWindow;
                    initialStreamWindow = value;
                    SendAllFrames();
                    break;
                default:
                    break;
            }
        }
        Http2Frame.Write(control, 0, FrameType.Settings, Http2Frame.Acknowledgement, 0);
        Gather(control.AsSpan(0, Http2Frame.HeaderBytes));
        if (isOpen)
            return;
        isOpen = true;
        if (opening is not null)
        {
            foreach (var exchange in exchanges)
                OpenStream(exchange);
        }
        greeted.TrySetResult();
    }
}
