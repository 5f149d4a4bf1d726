using KdServing.Serving.Models;

namespace KdServing.Serving.Tests.Models;

/// <summary>The count that keeps a version alive while somebody scores with it.</summary>
public sealed class LeaseTests
{
    [Fact]
    public void Drains_when_owner_and_last_lease_are_gone()
    {
        var count = new LeaseCount();
        Assert.True(count.TryAcquire());
        Assert.Equal(1, count.Leases);
        count.ReleaseOwner();
        Assert.False(count.Drained.IsCompleted);
        Assert.Equal(1, count.Leases);
        // While a lease is out the thing lives, so another may still join it.
        Assert.True(count.TryAcquire());
        count.Release();
        count.Release();
        Assert.True(count.Drained.IsCompletedSuccessfully);
        Assert.False(count.TryAcquire());
        Assert.Equal(0, count.Leases);
    }

    [Fact]
    public void The_owner_lets_go_once()
    {
        var count = new LeaseCount();
        count.ReleaseOwner();
        count.ReleaseOwner();
        Assert.True(count.Drained.IsCompletedSuccessfully);
    }

    [Fact]
    public void A_lease_returned_twice_is_an_error()
    {
        var count = new LeaseCount();
        count.ReleaseOwner();
        Assert.Throws<InvalidOperationException>(count.Release);
    }

    [Fact]
    public async Task Many_threads_never_hold_what_has_drained()
    {
        for (var round = 0; round < 100; round++)
        {
            var count = new LeaseCount();
            var freed = 0;
            _ = count.Drained.ContinueWith(_ => Volatile.Write(ref freed, 1), TaskContinuationOptions.ExecuteSynchronously);
            using var start = new Barrier(4);
            var users = Enumerable.Range(0, 3).Select(_ => Task.Factory.StartNew(() =>
            {
                start.SignalAndWait();
                while (count.TryAcquire())
                {
                    Assert.Equal(0, Volatile.Read(ref freed));
                    count.Release();
                }
            }, TaskCreationOptions.LongRunning)).ToArray();
            start.SignalAndWait();
            count.ReleaseOwner();
            await Task.WhenAll(users);
            Assert.True(count.Drained.IsCompletedSuccessfully);
        }
    }
}
