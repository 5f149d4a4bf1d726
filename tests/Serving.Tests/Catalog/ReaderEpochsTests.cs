using KdServing.Serving.Catalog;

namespace KdServing.Serving.Tests.Catalog;

public sealed class ReaderEpochsTests
{
    [Fact]
    public void A_slot_taken_out_under_a_reader_is_not_used_again_before_it_leaves()
    {
        var epochs = new ReaderEpochs();
        var slots = new ItemSlots(epochs);
        var slot = slots.Take(1);
        var reader = epochs.Enter();
        slots.Release(slot);
        for (var i = 0; i < 5; i++)
            slots.Reclaim();
        Assert.Equal(1, slots.Leaving);
        Assert.NotEqual(slot, slots.Take(2));
        epochs.Leave(reader);
        slots.Reclaim();
        Assert.Equal(0, slots.Leaving);
        Assert.Equal(slot, slots.Take(3));
    }

    [Fact]
    public void Readers_that_come_later_do_not_hold_it_back()
    {
        var epochs = new ReaderEpochs();
        var slots = new ItemSlots(epochs);
        slots.Release(slots.Take(1));
        slots.Reclaim();
        Assert.Equal(0, slots.Leaving);
        slots.Release(slots.Take(2));
        Assert.True(epochs.TryAdvance());
        var late = epochs.Enter();
        slots.Reclaim();
        Assert.Equal(0, slots.Leaving);
        epochs.Leave(late);
    }

    // A reader reads the epoch, the writer moves on twice, then it announces itself: too late for that epoch, so it enters the one of now.
    [Fact]
    public void A_reader_overtaken_while_entering_enters_the_epoch_of_now()
    {
        var epochs = new ReaderEpochs();
        var overtaken = false;
        epochs.BetweenReadAndEnter = () =>
        {
            if (overtaken)
                return;
            overtaken = true;
            Assert.True(epochs.TryAdvance());
            Assert.True(epochs.TryAdvance());
        };
        var entered = epochs.Enter();
        Assert.Equal(epochs.Current, entered);
        Assert.Equal(1, epochs.Readers);
        // Its own epoch may end once, not twice.
        Assert.True(epochs.TryAdvance());
        Assert.False(epochs.TryAdvance());
        epochs.Leave(entered);
        Assert.True(epochs.TryAdvance());
    }
}
