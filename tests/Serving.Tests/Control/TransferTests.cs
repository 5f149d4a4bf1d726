using KdServing.Contracts;

namespace KdServing.Serving.Tests.Control;

/// <summary>Servers that share no file system with the Distiller get versions through Redis, and start without it.</summary>
public sealed class TransferTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly SampleStudent sample = new("mlp");
    private readonly RedisServer redis = new();
    private readonly ModelRepository published;
    private readonly VersionTransfer transfer;

    public TransferTests()
    {
        published = new(folder["published"]);
        // Small chunks, so that files have several.
        transfer = new(redis.Database, SampleStudent.Model, new() { ChunkBytes = 10_000 });
    }

    public void Dispose()
    {
        redis.Dispose();
        sample.Dispose();
        folder.Dispose();
    }

    [Fact]
    public async Task Versions_arrive_through_redis_and_stay_without_it()
    {
        Offer();
        await using (var server = await StartAsync(redis.Endpoint))
        {
            await server.ServesAsync(1);
            for (var version = 2; version <= 4; version++)
            {
                sample.Learn(version);
                Offer();
                await new VersionAnnouncements(redis.Database, SampleStudent.Model).PublishedAsync(version);
                await server.ServesAsync(version);
            }
            var request = sample.Request(candidates: 20, seed: 1);
            var expected = sample.Score(request);
            var reply = await server.Client.RankAsync(request);
            Assert.Equal(expected[0], reply.Targets[0].Logits[0], 1e-4f);
        }
        // Only its own folder, and no Redis.
        await using (var server = await StartAsync("127.0.0.1:1"))
        {
            await server.ServesAsync(4);
            Assert.Equal(4, (await server.Client.RankAsync(sample.Request(5, seed: 1))).Version);
        }
    }

    [Fact]
    public void A_chain_is_fetched_whole_from_its_tip()
    {
        for (var version = 1; version <= 3; version++)
        {
            Offer();
            sample.Learn(version);
        }
        var own = new ModelRepository(folder["own"]);
        transfer.Fetch(3, own);
        Assert.Equal([1, 2, 3], own.Versions(SampleStudent.Model));
        foreach (var version in own.Versions(SampleStudent.Model))
        {
            var manifest = own.Manifest(SampleStudent.Model, version);
            own.RequireNothingElse(manifest);
            foreach (var file in manifest.Files.Keys.Where(f => f != StudentSignature.RankerFile))
                Assert.Equal(published.ReadVerified(manifest, file), own.ReadVerified(manifest, file));
        }
    }

    [Fact]
    public void What_has_expired_or_is_damaged_leaves_nothing_behind()
    {
        Offer();
        var own = new ModelRepository(folder["own"]);
        var chunk = redis.Connect().GetServer(redis.Endpoint).Keys(pattern: "kd:sample:chunk:*").First();
        var bytes = (byte[])redis.Database.StringGet(chunk)!;
        redis.Database.StringSet(chunk, (byte[])[.. bytes[..^1], (byte)~bytes[^1]]);
        Assert.Contains("damaged chunk", Assert.Throws<ContractException>(() => transfer.Fetch(1, own)).Message, StringComparison.Ordinal);
        redis.Database.KeyDelete(chunk);
        Assert.Contains("has expired", Assert.Throws<ContractException>(() => transfer.Fetch(1, own)).Message, StringComparison.Ordinal);
        Assert.Empty(own.Versions(SampleStudent.Model));
        // Offered again, it is whole again.
        transfer.Offer(published, published.Manifest(SampleStudent.Model, 1));
        transfer.Fetch(1, own);
        Assert.Equal([1], own.Versions(SampleStudent.Model));
    }

    // A wall clock set back by an hour once let a base expire under the deltas that rest on it.
    [Fact]
    public void What_a_version_rests_on_is_kept_alive_whatever_the_clock_is_set_to()
    {
        var clock = new SetClock();
        var offering = new VersionTransfer(redis.Database, SampleStudent.Model, new(), clock);
        offering.Offer(published, sample.Publish(published));
        var key = $"kd:{SampleStudent.Model}:transfer:1";
        redis.Database.KeyExpire(key, TimeSpan.FromMinutes(1));

        clock.SetBack(TimeSpan.FromHours(1));
        clock.Pass(TimeSpan.FromMinutes(59));
        sample.Learn(2);
        offering.Offer(published, sample.Publish(published));

        Assert.True(redis.Database.KeyTimeToLive(key) > TimeSpan.FromMinutes(30));
    }

    [Fact]
    public void Memory_in_redis_is_bounded_and_given_back()
    {
        var small = new VersionTransfer(redis.Database, SampleStudent.Model, new() { MaxBytes = 1000 });
        Assert.Equal("refresh.transfer.max_mb", Assert.Throws<ContractException>(() => small.Offer(published, sample.Publish(published))).Field);
        Assert.Empty(transfer.Versions());

        sample.Learn(1);
        Offer();
        Assert.Equal([1, 2], transfer.Versions());
        Assert.All(redis.Connect().GetServer(redis.Endpoint).Keys(pattern: "kd:sample:chunk:*"), k => Assert.NotNull(redis.Database.KeyTimeToLive(k)));
        // What leaves the repository leaves Redis, except what a kept version shares with it.
        sample.Learn(2);
        var third = sample.Publish(published);
        published.Remove(SampleStudent.Model, 2);
        Assert.Throws<ContractException>(() => transfer.Offer(published, third));
        Assert.Equal([1], transfer.Versions());
        transfer.Fetch(1, new(folder["own"]));
    }

    private sealed class SetClock : TimeProvider
    {
        private DateTimeOffset now = DateTimeOffset.UnixEpoch.AddYears(50);
        private TimeSpan passed;

        public void SetBack(TimeSpan by) => now -= by;

        public void Pass(TimeSpan time) => (now, passed) = (now + time, passed + time);

        public override DateTimeOffset GetUtcNow() => now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => passed.Ticks;
    }

    private void Offer() => transfer.Offer(published, sample.Publish(published));

    private Task<RunningServer> StartAsync(string endpoint) => RunningServer.StartAsync(null, redis: endpoint,
        change: o => o with { Repository = folder["own"], Transfer = true });
}
