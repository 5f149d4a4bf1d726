using KdServing.LoadTests.Chaos;
using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>What a real Redis writes is read as what was sent.</summary>
public sealed class AppendOnlyFileTests : IDisposable
{
    private readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public async Task Entries_are_there_with_their_ids_though_trimmed_and_though_Redis_was_killed()
    {
        using var run = new DemoFolder(folder["run"]);
        await using var system = new ChaosSystem(run, ChaosStudent.Prepare(null, folder["config"], seed: 1), withDisk: false);
        await system.StartRedisAsync(CancellationToken.None);
        var connection = system.Connect();
        var redis = connection.GetDatabase();
        var first = (string)(await redis.ExecuteAsync("XADD", "s", "*", "a", "1", "b", new byte[] { 13, 10, 0, 255 }))!;
        await redis.ExecuteAsync("XADD", "t", "MAXLEN", "~", "100", "*", "a", "2");
        await redis.ExecuteAsync("SET", "x", "5-0");
        await redis.ExecuteAsync("XTRIM", "s", "MAXLEN", "0");
        await system.KillAsync("redis");
        connection.Close(allowCommandsToComplete: false);

        var entries = AppendOnlyFile.Entries(run.Redis).ToList();
        Assert.Equal(["s", "t"], entries.Select(e => e.Key));
        Assert.Equal(first, entries[0].Id.ToString());
        Assert.Equal([13, 10, 0, 255], entries[0]["b"]!);
        Assert.Equal("2"u8.ToArray(), entries[1]["a"]!);
        Assert.Null(entries[1]["b"]);

        // The command under way when the power went.
        var file = Directory.GetFiles(Path.Combine(run.Redis, "appendonlydir"), "*.incr.aof").Single();
        await File.AppendAllTextAsync(file, "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n9-");
        Assert.Equal(2, AppendOnlyFile.Entries(run.Redis).Count());
    }
}
