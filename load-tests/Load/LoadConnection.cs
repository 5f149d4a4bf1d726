using System.Net.Sockets;
using System.Text;
using KdServing.Serving.Connections;

namespace KdServing.LoadTests.Load;

/// <summary>How a connection calls the server.</summary>
/// <param name="Address">Plain HTTP/2, e.g. <c>http://127.0.0.1:8500</c>.</param>
/// <param name="Streams">0: a unary call a request; otherwise so many ranking streams, each with many requests under way.</param>
/// <param name="DeadlineMs">From the intended send time; unary calls tell the server.</param>
/// <param name="AbandonMs">From the intended send time, when this side resets the call; later than the deadline unless cancels are the test.</param>
/// <param name="AllowRollback">A reply by an older version than one seen before is right.</param>
internal sealed record LoadCall(Uri Address, int Streams, int DeadlineMs, int AbandonMs, bool AllowRollback);

/// <summary>
/// One HTTP/2 connection that sends requests encoded beforehand and logs what becomes of them. Allocates nothing a request: what the
/// generator costs is taken from the server it shares the machine with.
/// </summary>
/// <remarks>
/// <see cref="Submit"/>, <see cref="Send"/> and <see cref="Expire"/> from any thread; one thread of its own receives. What flow control does not let out waits here,
/// with its intended time. A connection that is lost fails what it carried and is opened again.
/// <code>
/// using var connection = LoadConnection.Open(options, pool, versions);
/// connection.Submit(request, intendedNs);
/// connection.Send();
/// … connection.InFlight … connection.TakeSamples()
/// </code>
/// </remarks>
internal sealed partial class LoadConnection : IDisposable
{
    private const int Slots = 8192;
    private const int MessagesUnderWay = 1024; // of one ranking stream
    private const int ReceiveWindow = 1 << 30;
    private const int DefaultWindow = 65_535; // RFC 9113, section 6.9.2
    private const int CancelCode = 8;
    // What is longer is not copied to be sent with others: the call of the kernel costs less than the copy.
    private const int MaxGathered = 32 << 10;

    private static readonly TimeSpan HandshakePatience = TimeSpan.FromSeconds(5);

    private readonly LoadCall options;
    private readonly VersionsSeen versions;
    private readonly EncodedRequest[] requests;
    private readonly EncodedRequest? opening;
    private readonly Exchange[] exchanges;
    private readonly Queue<(int Request, long IntendedNs)> waiting = new(4096);
    private readonly SampleLog log = new();
    private readonly byte[] control = new byte[64];
    private readonly byte[] gathered = new byte[256 << 10];
    private readonly Lock gate = new();
    private readonly Thread receiver;
    private Socket socket;
    private int gatheredBytes;
    private int nextStream;
    private int oldestStream;
    private int turn;
    private int active;
    private int inFlight;
    private long sendWindow;
    private long initialStreamWindow;
    private long maxStreams;
    // A body waits for the connection's window: those behind it would, too.
    private bool isBlocked;
    private bool isOpen;
    private volatile bool disposed;

    private LoadConnection(LoadCall options, IReadOnlyList<EncodedRequest> pool, VersionsSeen versions)
    {
        this.options = options;
        this.versions = versions;
        requests = [.. pool.Select(r => r.Copy())];
        if (options.Streams > 0)
            opening = EncodedRequest.Opening(new HeaderBlock(options.Address.Authority, "/kdserving.v1.Ranking/RankStream", withDeadline: false));
        exchanges = new Exchange[options.Streams > 0 ? options.Streams : Slots];
        for (var e = 0; e < exchanges.Length; e++)
            exchanges[e] = new(options.Streams > 0 ? MessagesUnderWay : 1);
        socket = Connect();
        receiver = new(Receive) { IsBackground = true, Name = "load-receive" };
    }

    /// <summary>Requests submitted and not answered.</summary>
    public int InFlight => Volatile.Read(ref inFlight);

    /// <summary>Called on the receiving thread after some requests were answered or failed, with how many; closed loops send the next there.</summary>
    public Action<LoadConnection, int>? Answered { get; set; }

    /// <summary>Why the connection was lost last; null: never.</summary>
    public string? LastLoss { get; private set; }

    /// <exception cref="IOException">Nobody listens there, or not in HTTP/2.</exception>
    public static LoadConnection Open(LoadCall options, IReadOnlyList<EncodedRequest> pool, VersionsSeen versions)
    {
        LoadConnection? connection = null;
        try
        {
            connection = new(options, pool, versions);
            connection.Begin();
            return connection;
        }
        catch (SocketException e)
        {
            connection?.Dispose();
            throw new IOException($"{options.Address} does not answer: {e.Message}", e);
        }
        catch
        {
            connection?.Dispose();
            throw;
        }
    }

    /// <summary>Puts a request of the pool in line; <see cref="Send"/> sends it together with what else is due.</summary>
    public void Submit(int request, long intendedNs)
    {
        lock (gate)
        {
            inFlight++;
            if (isOpen)
                waiting.Enqueue((request, intendedNs));
            else
                Finish(new(request, intendedNs, intendedNs, 0), MonotonicClock.NowNs(), 0, Outcome.Unavailable);
        }
    }

    /// <summary>Sends what was submitted now, or as soon as flow control lets it.</summary>
    public void Send()
    {
        lock (gate)
            Drain();
    }

    /// <summary>Logs a request that was due and not sent.</summary>
    public void Skip(long intendedNs, Outcome outcome)
    {
        lock (gate)
            log.Add(new(intendedNs, 0, 0, 0, outcome));
    }

    /// <summary>Gives up what was to be answered long ago: resets its stream.</summary>
    public void Expire(long nowNs)
    {
        var patienceNs = options.AbandonMs * 1_000_000L;
        lock (gate)
        {
            if (!isOpen || opening is not null)
                return;
            for (; oldestStream < nextStream; oldestStream += 2)
            {
                var exchange = Slot(oldestStream);
                if (exchange.Stream != oldestStream || exchange.Count == 0)
                    continue;
                if (exchange.Oldest.IntendedNs + patienceNs > nowNs)
                    break;
                Abandon(exchange, nowNs, Outcome.Abandoned);
            }
            while (waiting.TryPeek(out var next) && next.IntendedNs + patienceNs <= nowNs)
            {
                waiting.Dequeue();
                Finish(new(next.Request, next.IntendedNs, nowNs, 0), nowNs, 0, Outcome.Abandoned);
            }
            Drain();
        }
    }

    /// <summary>What became of the requests since the last call. Not while any is in flight.</summary>
    public Sample[] TakeSamples()
    {
        lock (gate)
            return log.Take();
    }

    public void Dispose()
    {
        disposed = true;
        socket.Dispose();
        if (receiver.IsAlive)
            receiver.Join(TimeSpan.FromSeconds(1));
    }

    private Exchange Slot(int stream) => exchanges[(stream >> 1) & (Slots - 1)];

    private void Abandon(Exchange exchange, long nowNs, Outcome outcome)
    {
        GatherNumber(FrameType.ResetStream, exchange.Stream, CancelCode);
        Close(exchange, nowNs, outcome);
    }

    // The stream is over: whatever it still carried ends with one outcome. Under the gate.
    private void Close(Exchange exchange, long nowNs, Outcome outcome)
    {
        while (exchange.Count > 0)
            Finish(exchange.Take(), nowNs, 0, outcome);
        (exchange.Stream, exchange.Unsent) = (0, null);
        active--;
        if (opening is not null)
            OpenStream(exchange);
    }

    private void OpenStream(Exchange exchange)
    {
        exchange.Open(nextStream, initialStreamWindow);
        nextStream += 2;
        active++;
        Http2Frame.WriteStream(opening!.Bytes, exchange.Stream);
        Gather(opening.Bytes);
    }

    private void Finish(in Outstanding request, long nowNs, long version, Outcome outcome)
    {
        inFlight--;
        finished++;
        log.Add(new(request.IntendedNs, nowNs - request.IntendedNs, (int)Math.Min(int.MaxValue, request.SentNs - request.IntendedNs), (int)version, outcome));
    }

    private Socket Connect()
    {
        var created = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            created.Connect(options.Address.Host, options.Address.Port);
            return created;
        }
        catch
        {
            created.Dispose();
            throw;
        }
    }

    // Preface and settings: no header table, no push, windows that never close. Under the gate.
    private void Greet()
    {
        (nextStream, oldestStream, active, isBlocked, gatheredBytes) = (1, 1, 0, false, 0);
        (sendWindow, initialStreamWindow, maxStreams) = (DefaultWindow, DefaultWindow, 100);
        Gather(Encoding.ASCII.GetBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        ReadOnlySpan<byte> settings =
        [
            0, 1, 0, 0, 0, 0, // SETTINGS_HEADER_TABLE_SIZE 0
            0, 2, 0, 0, 0, 0, // SETTINGS_ENABLE_PUSH 0
            0, 4, 0x7f, 0xff, 0xff, 0xff, // SETTINGS_INITIAL_WINDOW_SIZE, the largest
        ];
        Http2Frame.Write(control, settings.Length, FrameType.Settings, 0, 0);
        settings.CopyTo(control.AsSpan(Http2Frame.HeaderBytes));
        Gather(control.AsSpan(0, Http2Frame.HeaderBytes + settings.Length));
        GatherNumber(FrameType.WindowUpdate, 0, ReceiveWindow);
        SendGathered();
    }
}
