using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;

namespace KdServing.Tests;

/// <summary>A private Redis on a free port, in a folder of its own; gone with <see cref="Dispose"/>.</summary>
/// <remarks>
/// For a class of tests: <c>: IClassFixture&lt;RedisServer&gt;</c>. For a test that kills Redis:
/// <c>using var redis = RedisServer.Durable(); … redis.Kill(); … redis.Restart();</c>, which keeps what was acknowledged.
/// </remarks>
public sealed class RedisServer : IDisposable
{
    private const int PortAttempts = 5;
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(20);

    private readonly bool durable;
    private readonly string folder = Directory.CreateTempSubdirectory("kd-redis-").FullName;
    private Process? process;
    private readonly List<ConnectionMultiplexer> connections = [];
    private IDatabase? database;

    public RedisServer() : this(durable: false)
    {
    }

    private RedisServer(bool durable)
    {
        this.durable = durable;
        for (var attempt = 1; ; attempt++)
        {
            Port = FreePort();
            if (TryStart())
                return;
            // Somebody took the port between asking for it and listening.
            if (attempt == PortAttempts)
                throw new InvalidOperationException($"redis-server did not start: {process?.StandardOutput.ReadToEnd()}");
        }
    }

    public int Port { get; private set; }

    /// <summary><c>127.0.0.1:port</c>, as <c>--redis</c> takes it.</summary>
    public string Endpoint => $"127.0.0.1:{Port}";

    /// <summary>A connection shared by the tests of this server.</summary>
    public IDatabase Database => database ??= Connect().GetDatabase();

    /// <summary>A server that writes every command to its disk before it answers, so that <see cref="Kill"/> loses nothing.</summary>
    public static RedisServer Durable() => new(durable: true);

    /// <summary>A connection that goes on trying while the server is away. Closed with the server; do not dispose it.</summary>
    public ConnectionMultiplexer Connect()
    {
        var connection = ConnectionMultiplexer.Connect(
            $"{Endpoint},abortConnect=false,connectRetry=10,connectTimeout=2000,syncTimeout=10000,allowAdmin=true");
        connections.Add(connection);
        return connection;
    }

    /// <summary>Ends the server as a power cut would.</summary>
    public void Kill()
    {
        process!.Kill();
        process.WaitForExit();
    }

    /// <summary>Starts the server again on the same port.</summary>
    public void Restart()
    {
        if (!TryStart())
            throw new InvalidOperationException($"redis-server did not start again: {process?.StandardOutput.ReadToEnd()}");
    }

    public void Dispose()
    {
        // Dispose of release 1.2.6 waits out its syncTimeout.
        foreach (var connection in connections)
            connection.Close(allowCommandsToComplete: false);
        if (process is { HasExited: false })
            Kill();
        process?.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private bool TryStart()
    {
        var start = new ProcessStartInfo("redis-server") { RedirectStandardOutput = true, WorkingDirectory = folder };
        foreach (var argument in (string[])["--port", $"{Port}", "--bind", "127.0.0.1", "--dir", folder, "--save", "",
            "--appendonly", durable ? "yes" : "no", "--appendfsync", "always", "--loglevel", "warning"])
            start.ArgumentList.Add(argument);
        try
        {
            process?.Dispose();
            process = Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException("redis-server is not installed; run ./kd setup", e);
        }
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < StartTimeout && !process.HasExited)
        {
            if (Answers())
                return true;
            Thread.Sleep(10);
        }
        return false;
    }

    private bool Answers()
    {
        try
        {
            using var client = new TcpClient();
            client.Connect(IPAddress.Loopback, Port);
            client.Client.Send("PING\r\n"u8);
            var reply = new byte[5];
            return client.Client.Receive(reply) == reply.Length && reply.AsSpan().SequenceEqual("+PONG"u8);
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        return port;
    }
}
