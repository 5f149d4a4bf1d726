using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

/// <summary>One Distiller a model at a time; of one that was replaced nothing takes effect.</summary>
public sealed class OwnershipTests(RedisServer redis) : DistillationRuns(redis)
{
    [Fact]
    public async Task A_second_Distiller_waits_for_the_first()
    {
        await WriteAsync(0, 20);
        await Redis.Database.StringSetAsync(Keys.Owner, "elsewhere/1/token", TimeSpan.FromSeconds(60));
        var run = RunAsync();
        await UntilAsync(s => s.GetProperty("phase").GetString() == "waiting");
        Assert.Equal(0, Number(Status(), "consumed"));

        await Redis.Database.KeyDeleteAsync(Keys.Owner);

        Assert.Equal(20, Number(await run, "consumed"));
        Assert.False(await Redis.Database.KeyExistsAsync(Keys.Owner));
    }

    [Fact]
    public async Task A_Distiller_whose_model_was_taken_over_stops()
    {
        var run = RunAsync(untilIdleSeconds: null);
        await UntilAsync(s => s.GetProperty("phase").GetString() == "waiting" && Redis.Database.KeyExists(Keys.Owner));

        await Redis.Database.StringSetAsync(Keys.Owner, "elsewhere/1/token", TimeSpan.FromSeconds(60));

        var fault = await Assert.ThrowsAsync<OwnershipLostException>(() => run);
        Assert.Contains("elsewhere/1", fault.Message, StringComparison.Ordinal);
    }

    // What an owner that slept past its lease does when it wakes: nothing takes effect.
    [Fact]
    public async Task A_stale_owner_can_neither_journal_nor_trim_nor_announce()
    {
        var stream = new LogitStream([new LogitStreamReader(Redis.Database, Model, Impressions.Schema)], Redis.Endpoint);
        var (sleeper, successor) = (new ModelOwner(Redis.Database, Model), new ModelOwner(Redis.Database, Model));
        await sleeper.TakeAsync(stream, known: 0, default);
        var journal = new Journal(Redis.Database, Model, sleeper, stream) { Life = "life" };
        await journal.AppendAsync(new() { Epoch = 1, Life = "life", Live = 1 }, [], default);
        await WriteAsync(0, 3);
        await Redis.Database.KeyDeleteAsync(Keys.Owner);
        await successor.TakeAsync(stream, known: 0, default);

        Assert.Equal((1, 2), (sleeper.Epoch, successor.Epoch));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.AppendAsync(new() { Epoch = 1, Life = "life", Live = 2 }, [], default));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.TrimAsync(new Dictionary<string, StreamId> { [(string)Keys.Logits!] = new(long.MaxValue / 2, 0) }, 5));
        await Assert.ThrowsAsync<OwnershipLostException>(() => journal.AnnounceAsync(7));
        Assert.Single(await journal.ReadAsync(0, default));
        Assert.Equal(3, (long)await Redis.Database.ExecuteAsync("XLEN", Keys.Logits));
        Assert.False(await Redis.Database.KeyExistsAsync(Keys.Versions));
        Assert.Equal(1, (await journal.ReadAsync(0, default))[0].Entry.Epoch);
    }

    [Fact]
    public async Task The_epoch_outlives_a_Redis_that_forgot_it()
    {
        var stream = new LogitStream([new LogitStreamReader(Redis.Database, Model, Impressions.Schema)], Redis.Endpoint);
        var owner = new ModelOwner(Redis.Database, Model);
        await owner.TakeAsync(stream, known: 41, default);
        Assert.Equal(42, owner.Epoch);
        var journal = new Journal(Redis.Database, Model, owner, stream) { Life = "life" };

        await Redis.Database.KeyDeleteAsync([Keys.Owner, Keys.Epoch]);
        await journal.AppendAsync(new() { Epoch = 42, Life = "life", Live = 1 }, [], default);

        Assert.Equal(43, owner.Epoch);
        Assert.Single(await journal.ReadAsync(0, default));
    }

    // The reply was lost, the entry was not: the same append again is recognised, and its dead letter is not written twice.
    [Fact]
    public async Task An_append_repeated_after_a_lost_reply_is_there_once()
    {
        await AppendAsync("v", 1, "r", new byte[] { 1 });
        var reader = new LogitStreamReader(Redis.Database, Model, Impressions.Schema);
        var stream = new LogitStream([reader], Redis.Endpoint);
        var owner = new ModelOwner(Redis.Database, Model);
        await owner.TakeAsync(stream, known: 0, default);
        var dead = (Keys.Logits, (await reader.ReadAsync(StreamId.Zero, 1))[0]);
        var entry = new JournalEntry { Epoch = 1, Life = "life", Batch = new(1, new Dictionary<string, StreamRange>()) };
        var journal = new Journal(Redis.Database, Model, owner, stream) { Life = "life" };
        await journal.AppendAsync(entry, [dead], default);

        journal.Sequence = 0;
        await journal.AppendAsync(entry, [dead], default);

        Assert.Single(await journal.ReadAsync(0, default));
        Assert.Single(await DeadLettersAsync());
    }
}
