using System.Diagnostics;
using System.Globalization;
using StackExchange.Redis;

namespace KdServing.LoadTests.Demo;

/// <summary>A Redis of the demo's own: loopback, a port nobody else uses, append-only file in the run's folder.</summary>
internal static class PrivateRedis
{
    // A long append-only file is read first.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    public static ChildSpec Spec(DemoFolder folder, int port) => Spec("redis", folder.Log("redis"), folder.Redis, port, "everysec");

    /// <summary>One that has every command on its disk before it answers, and keeps its file as it was written.</summary>
    /// <param name="folder">Where its file lies.</param>
    /// <param name="more">Options of redis-server; one that is given already is replaced.</param>
    public static ChildSpec Durable(string name, string log, string folder, int port, params IReadOnlyList<string> more) =>
        Spec(name, log, folder, port, "always", ["--auto-aof-rewrite-percentage", "0", .. more]);

    private static ChildSpec Spec(string name, string log, string folder, int port, string flush, params IReadOnlyList<string> more) => new(name, 0, log,
    [
        "redis-server", "--bind", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture),
        "--dir", folder, "--save", "", "--appendonly", "yes", "--appendfsync", flush, "--daemonize", "no", .. more,
    ]);

    /// <summary>Waits until it answers.</summary>
    /// <exception cref="DemoException">It did not start; says what it wrote.</exception>
    public static async Task WaitAsync(ChildProcess redis, int port, CancellationToken cancellation)
    {
        for (var clock = Stopwatch.StartNew(); !redis.HasExited && clock.Elapsed < Patience;)
        {
            try
            {
                using var connection = await ConnectionMultiplexer.ConnectAsync($"127.0.0.1:{port},connectTimeout=500");
                await connection.GetDatabase().PingAsync();
                return;
            }
            catch (Exception e) when (e is RedisConnectionException or TimeoutException or RedisServerException)
            {
                await Task.Delay(50, cancellation);
            }
        }
        throw new DemoException($"redis-server {(redis.HasExited ? redis.ExitReason() : $"does not answer after {Patience.TotalSeconds:F0} s")}: {string.Join(" / ", redis.LogTail(3))}");
    }
}
