using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

/// <summary>The lease against a real Redis; what the fence refuses is tested with the loop.</summary>
public sealed class ModelOwnerTests(RedisServer redis) : IClassFixture<RedisServer>
{
    // Longer than a busy machine keeps a thread waiting.
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    private readonly string model = $"m{Guid.NewGuid():N}"[..12];

    private LogitStream Stream => new([new LogitStreamReader(redis.Database, model, Impressions.Schema)], redis.Endpoint);

    // A recovery computes for minutes: a successor that took the model meanwhile would do the same, and so on for ever.
    [Fact]
    public async Task A_lease_is_kept_through_work_that_takes_longer()
    {
        var (owner, other) = (Owner(), Owner());
        await owner.TakeAsync(Stream, known: 0, default);
        using var stop = new CancellationTokenSource();
        var waiting = other.TakeAsync(Stream, known: 0, stop.Token);

        await owner.KeepAsync(_ =>
        {
            Thread.Sleep(1.5 * Lease);
            return Task.CompletedTask;
        }, default);

        Assert.False(waiting.IsCompleted);
        await owner.GiveBackAsync();
        await waiting.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal((1, 2), (owner.Epoch, other.Epoch));
    }

    [Fact]
    public async Task Work_is_told_to_stop_when_the_lease_is_lost()
    {
        var (owner, successor) = (Owner(), Owner());
        await owner.TakeAsync(Stream, known: 0, default);
        await redis.Database.KeyDeleteAsync(new StreamKeys(model).Owner);
        await successor.TakeAsync(Stream, known: 0, default);
        var wasTold = false;

        await Assert.ThrowsAsync<OwnershipLostException>(() => owner.KeepAsync(async stop =>
        {
            await Task.Delay(Timeout.Infinite, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            wasTold = true;
        }, default));

        Assert.True(wasTold);
    }

    [Fact]
    public async Task What_the_work_ends_with_is_thrown()
    {
        var owner = Owner();
        await owner.TakeAsync(Stream, known: 0, default);

        await Assert.ThrowsAsync<ContractException>(() => owner.KeepAsync(_ => throw new ContractException("state", "is damaged"), default));
    }

    private ModelOwner Owner() => new(redis.Database, model, Lease);
}
