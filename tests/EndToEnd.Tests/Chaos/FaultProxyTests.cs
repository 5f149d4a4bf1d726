using System.Net;
using System.Net.Sockets;
using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>The proxy does what it is told, seen from both ends.</summary>
public sealed class FaultProxyTests : IDisposable
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    private readonly TcpListener echo = new(IPAddress.Loopback, 0);
    private readonly FaultProxy proxy;
    private volatile int echoed;

    public FaultProxyTests()
    {
        echo.Start();
        proxy = new(((IPEndPoint)echo.LocalEndpoint).Port);
        _ = EchoAsync();
    }

    public void Dispose()
    {
        proxy.Dispose();
        echo.Dispose();
    }

    [Fact]
    public async Task Bytes_pass_both_ways()
    {
        using var client = await ConnectAsync();
        Assert.Equal("hello", await SayAsync(client, "hello"));
    }

    [Fact]
    public async Task A_delay_holds_requests_and_replies_back()
    {
        using var client = await ConnectAsync();
        proxy.Latency = TimeSpan.FromMilliseconds(60);
        proxy.Set(LinkFault.Delay);
        var clock = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal("hello", await SayAsync(client, "hello"));
        Assert.True(clock.ElapsedMilliseconds >= 110, $"{clock.ElapsedMilliseconds} ms");
    }

    [Fact]
    public async Task A_reset_ends_connections_and_new_ones_until_it_is_over()
    {
        using var before = await ConnectAsync();
        await SayAsync(before, "hello");
        proxy.Set(LinkFault.Reset);
        Assert.Null(await SayAsync(before, "hello"));
        Assert.Null(await ConnectAndSayAsync("hello"));
        proxy.Set(LinkFault.None);
        using var after = await ConnectAsync();
        Assert.Equal("hello", await SayAsync(after, "hello"));
    }

    [Fact]
    public async Task A_half_open_link_stays_silent_and_is_reset_when_the_network_is_back()
    {
        using var client = await ConnectAsync();
        proxy.Set(LinkFault.HalfOpen);
        var reply = SayAsync(client, "hello");
        await Assert.ThrowsAsync<TimeoutException>(() => reply.WaitAsync(Short));
        Assert.Equal(0, echoed);
        proxy.Set(LinkFault.None);
        Assert.Null(await reply.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task A_lost_reply_is_the_reply_to_a_request_that_was_done()
    {
        using var client = await ConnectAsync();
        proxy.Set(LinkFault.LoseReplies);
        var reply = SayAsync(client, "hello");
        await Assert.ThrowsAsync<TimeoutException>(() => reply.WaitAsync(Short));
        Assert.Equal(5, echoed);
        proxy.Set(LinkFault.None);
        Assert.Null(await reply.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    private async Task<TcpClient> ConnectAsync()
    {
        var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, proxy.Port);
        return client;
    }

    // The reset may come while we still connect.
    private async Task<string?> ConnectAndSayAsync(string text)
    {
        try
        {
            using var client = await ConnectAsync();
            return await SayAsync(client, text);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    // Null when the connection ended instead.
    private static async Task<string?> SayAsync(TcpClient client, string text)
    {
        try
        {
            await client.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(text));
            var reply = new byte[text.Length];
            await client.GetStream().ReadExactlyAsync(reply);
            return System.Text.Encoding.ASCII.GetString(reply);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private async Task EchoAsync()
    {
        while (true)
        {
            var client = await echo.AcceptTcpClientAsync();
            _ = Task.Run(async () =>
            {
                using (client)
                {
                    var buffer = new byte[100];
                    while (await client.GetStream().ReadAsync(buffer) is > 0 and var count)
                    {
                        echoed += count;
                        await client.GetStream().WriteAsync(buffer.AsMemory(0, count));
                    }
                }
            });
        }
    }
}
