namespace KdServing.Contracts.Tests.Streams;

public sealed class RedisServerTests
{
    [Fact]
    public async Task A_killed_durable_server_keeps_what_it_acknowledged()
    {
        using var redis = RedisServer.Durable();
        await redis.Database.ExecuteAsync("XADD", "s", "1-1", "a", "b");

        redis.Kill();
        redis.Restart();

        Assert.Equal(1, (long)await redis.Connect().GetDatabase().ExecuteAsync("XLEN", "s"));
    }
}
