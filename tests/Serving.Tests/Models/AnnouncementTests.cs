using KdServing.Contracts;
using KdServing.Serving.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace KdServing.Serving.Tests.Models;

/// <summary>News of versions through Redis, and life without it.</summary>
public sealed class AnnouncementTests
{
    [Fact]
    public async Task An_announced_version_is_served_and_said_to_be()
    {
        using var redis = new RedisServer();
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint);
        var announcements = new VersionAnnouncements(redis.Database, SampleStudent.Model);
        for (var version = 2; version <= 4; version++)
        {
            sample.Learn(seed: version);
            sample.Publish(server.Repository);
            await announcements.PublishedAsync(version);
            await server.ServesAsync(version);
        }
        await ServedAsync(announcements, 4);
        Assert.True(server.Source.RedisConnected);
    }

    [Fact]
    public async Task Without_redis_versions_are_found_in_the_folder()
    {
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, redis: "127.0.0.1:1");
        Assert.False(server.Source.RedisConnected);
        Assert.True(server.Log.Holds(LogLevel.Warning, "waiting for Redis at 127.0.0.1:1 (no connection)"));
        sample.Learn(seed: 2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
    }

    [Fact]
    public async Task Redis_may_go_and_come_back()
    {
        using var redis = RedisServer.Durable();
        using var sample = new SampleStudent("mlp");
        await using var server = await RunningServer.StartAsync(sample, redis: redis.Endpoint);
        await ServedAsync(new(redis.Database, SampleStudent.Model), 1);

        redis.Kill();
        sample.Learn(seed: 2);
        sample.Publish(server.Repository);
        await server.ServesAsync(2);
        Assert.Equal(2, (await server.Client.RankAsync(sample.Request(candidates: 5, seed: 1))).Version);
        await Eventually.HoldsAsync(() => server.Source.RedisConnected == false, "the server notices that Redis is away");

        redis.Restart();
        await Eventually.HoldsAsync(() => server.Source.RedisConnected == true, "the server notices that Redis is back");
        // What could not be told then is told now.
        await ServedAsync(new(redis.Connect().GetDatabase(), SampleStudent.Model), 2);
        Assert.True(server.Log.Holds(LogLevel.Information, "answers again"));
    }

    [Fact]
    public async Task A_redis_that_answers_but_takes_nothing_is_away_until_it_does()
    {
        using var redis = new RedisServer();
        var announcements = new VersionAnnouncements(redis.Database, SampleStudent.Model);
        var feed = new AnnouncementFeed(announcements, redis.Endpoint, "server", NullLogger<AnnouncementFeed>.Instance);
        await redis.Database.ExecuteAsync("CONFIG", "SET", "maxmemory", "1");

        await feed.TellServedAsync(7);
        Assert.False(feed.IsConnected);
        Assert.False(await feed.HasNewsAsync());
        Assert.False(feed.IsConnected);

        await redis.Database.ExecuteAsync("CONFIG", "SET", "maxmemory", "0");
        await feed.HasNewsAsync();
        Assert.True(feed.IsConnected);
        await ServedAsync(announcements, 7);
    }

    private static async Task ServedAsync(VersionAnnouncements announcements, long version)
    {
        var newest = 0L;
        await Eventually.HoldsAsync(async () => (newest = (await announcements.NewestServedAsync())?.Version ?? 0) == version, () => $"version {newest} is said to be served, not {version}");
    }
}
