using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using KdServing.Serving.Ranking;
using KdServing.Serving.Transport;
using Microsoft.AspNetCore.Connections;

namespace KdServing.Serving.Tests.Transport;

/// <summary>The server's end of a real socket, as Kestrel and what stands before it see it.</summary>
public sealed class PolledConnectionTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly RankingThreads threads = new(count: 2);
    private readonly PolledTransport transport;
    private IConnectionListener listener = null!;

    public PolledConnectionTests() => transport = new(threads, new BlockPoolFactory());

    public async Task InitializeAsync() => listener = await transport.BindAsync(new RankingEndPoint(IPAddress.Loopback, 0));

    public async Task DisposeAsync()
    {
        await listener.DisposeAsync();
        threads.Dispose();
    }

    // More than all buffers on the way hold, both ways at once.
    [Fact]
    public async Task What_is_sent_arrives_whole_in_both_directions()
    {
        var (server, client) = await ConnectAsync();
        var sent = new byte[20_000_000];
        new Random(1).NextBytes(sent);
        var echoing = EchoAsync(server);
        var received = new byte[sent.Length];
        await using (var stream = new NetworkStream(client, ownsSocket: true))
        {
            var sending = stream.WriteAsync(sent).AsTask();
            await stream.ReadExactlyAsync(received).AsTask().WaitAsync(Patience);
            await sending;
            client.Shutdown(SocketShutdown.Send);
            await echoing.WaitAsync(Patience);
            Assert.Equal(0, await stream.ReadAsync(received));
        }
        Assert.True(received.AsSpan().SequenceEqual(sent));
        AssertForgotten();
    }

    [Fact]
    public async Task Many_connections_come_and_go()
    {
        var served = Task.Run(async () =>
        {
            var echoes = new List<Task>();
            for (var i = 0; i < 200; i++)
                echoes.Add(EchoAsync((await listener.AcceptAsync())!));
            await Task.WhenAll(echoes);
        });
        await Parallel.ForAsync(0, 200, async (i, stop) =>
        {
            using var client = await ClientAsync();
            await using var stream = new NetworkStream(client);
            byte[] sent = [(byte)i, 1, 2, 3];
            for (var round = 0; round < 20; round++)
            {
                await stream.WriteAsync(sent, stop);
                var received = new byte[sent.Length];
                await stream.ReadExactlyAsync(received, stop);
                Assert.Equal(sent, received);
            }
        }).WaitAsync(Patience);
        await served.WaitAsync(Patience);
        AssertForgotten();
    }

    [Fact]
    public async Task A_client_that_has_said_all_it_has_to_say_is_still_answered()
    {
        var (server, client) = await ConnectAsync();
        using (client)
        {
            client.Shutdown(SocketShutdown.Send);
            Assert.True((await server.Transport.Input.ReadAsync().AsTask().WaitAsync(Patience)).IsCompleted);
            await server.Transport.Output.WriteAsync(new byte[] { 7 });
            await server.DisposeAsync().AsTask().WaitAsync(Patience);
            var received = new byte[2];
            Assert.Equal(1, await client.ReceiveAsync(received));
            Assert.Equal(7, received[0]);
            Assert.Equal(0, await client.ReceiveAsync(received));
        }
        AssertForgotten();
    }

    [Fact]
    public async Task A_client_that_breaks_off_is_noticed()
    {
        var (server, client) = await ConnectAsync();
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.ConnectionClosed.Register(closed.SetResult);
        var reading = server.Transport.Input.ReadAsync().AsTask();
        // RST in place of FIN.
        client.LingerState = new(enable: true, seconds: 0);
        client.Dispose();
        await Assert.ThrowsAsync<ConnectionResetException>(() => reading.WaitAsync(Patience));
        await closed.Task.WaitAsync(Patience);
        await server.DisposeAsync().AsTask().WaitAsync(Patience);
        AssertForgotten();
    }

    [Fact]
    public async Task What_nobody_reads_stays_with_the_client()
    {
        var (server, client) = await ConnectAsync();
        using (client)
        {
            client.Blocking = false;
            var (block, sent) = (new byte[64 * 1024], 0L);
            // What the server takes meanwhile comes late, but it comes: until nothing more has gone for a while, there was room.
            for (var quiet = 0; quiet < 50;)
            {
                var count = client.Send(block, SocketFlags.None, out _);
                quiet = count > 0 ? 0 : quiet + 1;
                sent += Math.Max(0, count);
                Assert.True(sent < 64 << 20, "the server takes what nobody reads");
                if (count <= 0)
                    await Task.Delay(5);
            }
            var read = await server.Transport.Input.ReadAsync().AsTask().WaitAsync(Patience);
            Assert.InRange(read.Buffer.Length, 1, 2 << 20);
            var taken = 0L;
            while (true)
            {
                taken += read.Buffer.Length;
                server.Transport.Input.AdvanceTo(read.Buffer.End);
                if (taken == sent)
                    break;
                read = await server.Transport.Input.ReadAsync().AsTask().WaitAsync(Patience);
            }
            await server.DisposeAsync().AsTask().WaitAsync(Patience);
        }
        AssertForgotten();
    }

    [Fact]
    public async Task A_client_that_takes_nothing_holds_up_who_writes_until_the_connection_is_aborted()
    {
        var (server, client) = await ConnectAsync();
        using (client)
        {
            var flush = default(ValueTask<FlushResult>);
            var block = new byte[64 * 1024];
            for (var sent = 0L; flush.IsCompletedSuccessfully; sent += block.Length)
            {
                Assert.True(sent < 64 << 20, "nothing holds up who writes");
                flush = server.Transport.Output.WriteAsync(block);
            }
            var reading = server.Transport.Input.ReadAsync().AsTask();
            server.Abort(new ConnectionAbortedException("because"));
            Assert.True((await flush.AsTask().WaitAsync(Patience)).IsCompleted);
            await Assert.ThrowsAsync<ConnectionResetException>(() => reading.WaitAsync(Patience));
            await server.DisposeAsync().AsTask().WaitAsync(Patience);
        }
        AssertForgotten();
    }

    [Fact]
    public async Task Who_writes_and_gives_up_ends_the_connection()
    {
        var (server, client) = await ConnectAsync();
        using (client)
        {
            await server.Transport.Output.CompleteAsync(new InvalidOperationException("given up"));
            Assert.Equal(0, await client.ReceiveAsync(new byte[1]).WaitAsync(Patience));
            await server.DisposeAsync().AsTask().WaitAsync(Patience);
        }
        AssertForgotten();
    }

    // While sockets are looked at nothing is computed: others wait to be read.
    [Fact]
    public async Task Who_enters_where_bytes_are_read_computes_when_all_are_read()
    {
        var gate = new AdmissionGate(concurrency: 2, maxQueueMs: 1000) { Threads = threads };
        var (server, client) = await ConnectAsync();
        var seen = new TaskCompletionSource<(bool IsReading, bool WasFree, bool IsStillReading, string? Name)>(TaskCreationOptions.RunContinuationsAsynchronously);
        using (client)
        {
            // Off xunit's context; once it has begun it waits for what is to come.
            var reading = await Task.Factory.StartNew(ReadAsync, CancellationToken.None, TaskCreationOptions.None, TaskScheduler.Default);
            await client.SendAsync(new byte[] { 1 });
            var (isReading, wasFree, isStillReading, name) = await seen.Task.WaitAsync(Patience);
            await reading;
            Assert.True(isReading);
            Assert.False(wasFree);
            Assert.False(isStillReading);
            Assert.Equal(RankingThreads.Name, name);
            Assert.Equal(1, gate.Running);
            await server.DisposeAsync().AsTask().WaitAsync(Patience);
        }

        async Task ReadAsync()
        {
            await server.Transport.Input.ReadAsync();
            var isReading = threads.AreReading;
            var turn = gate.EnterAsync();
            var wasFree = turn.IsCompleted;
            await turn;
            seen.SetResult((isReading, wasFree, threads.AreReading, Thread.CurrentThread.Name));
        }
    }

    [Fact]
    public async Task An_address_in_use_is_told_as_such()
    {
        var taken = new RankingEndPoint(IPAddress.Loopback, ((IPEndPoint)listener.EndPoint).Port);
        await Assert.ThrowsAsync<AddressInUseException>(async () => await transport.BindAsync(taken));
    }

    [Fact]
    public async Task A_listener_that_has_ended_accepts_nobody()
    {
        var accepting = listener.AcceptAsync().AsTask();
        await listener.UnbindAsync();
        Assert.Null(await accepting.WaitAsync(Patience));
        Assert.Null(await listener.AcceptAsync().AsTask().WaitAsync(Patience));
    }

    [Fact]
    public void Nothing_but_ranking_is_listened_for()
    {
        Assert.True(transport.CanBind(new RankingEndPoint(IPAddress.Loopback, 1)));
        Assert.False(transport.CanBind(new IPEndPoint(IPAddress.Loopback, 1)));
    }

    private static async Task EchoAsync(ConnectionContext connection)
    {
        await using (connection)
        {
            while (true)
            {
                var read = await connection.Transport.Input.ReadAsync();
                foreach (var piece in read.Buffer)
                    connection.Transport.Output.Write(piece.Span);
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
                await connection.Transport.Output.FlushAsync();
                if (read.IsCompleted)
                    return;
            }
        }
    }

    private async Task<(ConnectionContext Server, Socket Client)> ConnectAsync()
    {
        var accepting = listener.AcceptAsync().AsTask();
        var client = await ClientAsync();
        return ((await accepting.WaitAsync(Patience))!, client);
    }

    private async Task<Socket> ClientAsync()
    {
        var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await client.ConnectAsync(listener.EndPoint);
        return client;
    }

    private void AssertForgotten() => Assert.Equal(0, threads.Connections);
}
