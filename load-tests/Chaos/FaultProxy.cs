using System.Net;
using System.Net.Sockets;

namespace KdServing.LoadTests.Chaos;

/// <summary>What a <see cref="FaultProxy"/> does to the connections that go through it.</summary>
internal enum LinkFault
{
    /// <summary>Bytes pass.</summary>
    None,

    /// <summary>Every chunk waits, in both directions.</summary>
    Delay,

    /// <summary>Connections are reset, and so is every new one.</summary>
    Reset,

    /// <summary>Connections stay open and new ones are taken, but not a byte passes, either way: a cable pulled out.</summary>
    HalfOpen,

    /// <summary>Requests pass, replies do not: what was asked is done and nobody hears of it.</summary>
    LoseReplies,
}

/// <summary>A TCP proxy on loopback between a part and Redis, which can be told to fail as networks do.</summary>
/// <remarks>
/// Bytes that were swallowed are gone: when the fault ends, a connection that lost some is reset, as the peer's kernel would once the
/// network is back. Thread-safe.
/// </remarks>
internal sealed class FaultProxy : IDisposable
{
    private const int ChunkBytes = 1 << 16;

    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();
    private readonly HashSet<Link> links = [];
    private readonly Lock gate = new();
    private volatile LinkFault fault;
    private volatile int targetPort;

    /// <param name="targetPort">Port on loopback that a connection leads to; nobody need listen there yet.</param>
    public FaultProxy(int targetPort)
    {
        this.targetPort = targetPort;
        listener.Start();
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        _ = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>Leads new connections to another port, and resets those that there are: the address of a service now belongs to another machine.</summary>
    public void LeadTo(int port)
    {
        List<Link> ended;
        lock (gate)
        {
            targetPort = port;
            ended = [.. links];
        }
        ended.ForEach(l => l.Abort());
    }

    /// <summary>How long a chunk waits under <see cref="LinkFault.Delay"/>.</summary>
    public TimeSpan Latency { get; set; } = TimeSpan.FromMilliseconds(300);

    /// <summary>Begins a fault, or ends it with <see cref="LinkFault.None"/>.</summary>
    public void Set(LinkFault next)
    {
        List<Link> ended;
        lock (gate)
        {
            fault = next;
            ended = [.. links.Where(l => next == LinkFault.Reset || (next == LinkFault.None && l.HasLostBytes))];
        }
        ended.ForEach(l => l.Abort());
    }

    public void Dispose()
    {
        stop.Cancel();
        listener.Stop();
        Set(LinkFault.Reset);
        stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await listener.AcceptSocketAsync(stop.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
            _ = ServeAsync(new(client));
        }
    }

    private async Task ServeAsync(Link link)
    {
        lock (gate)
            links.Add(link);
        try
        {
            if (fault == LinkFault.Reset)
                return;
            await link.Server.ConnectAsync(IPAddress.Loopback, targetPort, stop.Token);
            await Task.WhenAny(PumpAsync(link, link.Client, link.Server, isReply: false), PumpAsync(link, link.Server, link.Client, isReply: true));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Redis is not there, or the fault has cut the connection: the client sees a reset.
        }
        finally
        {
            link.Abort();
            lock (gate)
                links.Remove(link);
        }
    }

    private async Task PumpAsync(Link link, Socket from, Socket to, bool isReply)
    {
        var chunk = new byte[ChunkBytes];
        try
        {
            while (await from.ReceiveAsync(chunk, stop.Token) is > 0 and var count)
            {
                if (fault == LinkFault.HalfOpen || (fault == LinkFault.LoseReplies && isReply) || link.HasLost(isReply))
                {
                    link.Lose(isReply);
                    continue;
                }
                if (fault == LinkFault.Delay)
                    await Task.Delay(Latency, stop.Token);
                for (var sent = 0; sent < count;)
                    sent += await to.SendAsync(chunk.AsMemory(sent, count - sent), stop.Token);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // One side is gone: the other follows.
        }
    }

    private sealed class Link(Socket client)
    {
        private volatile bool lostRequests;
        private volatile bool lostReplies;

        public Socket Client { get; } = client;

        public Socket Server { get; } = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

        public bool HasLostBytes => lostRequests || lostReplies;

        // After a hole nothing that follows makes sense to the other side.
        public bool HasLost(bool replies) => replies ? lostReplies : lostRequests;

        public void Lose(bool replies)
        {
            if (replies)
                lostReplies = true;
            else
                lostRequests = true;
        }

        // A linger of zero seconds: RST instead of FIN.
        public void Abort()
        {
            foreach (var socket in (Socket[])[Client, Server])
            {
                try
                {
                    socket.LingerState = new(true, 0);
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    // Closed already.
                }
                socket.Dispose();
            }
        }
    }
}
