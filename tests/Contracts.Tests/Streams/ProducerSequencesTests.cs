namespace KdServing.Contracts.Tests.Streams;

public sealed class ProducerSequencesTests
{
    [Fact]
    public void Gaps_and_repeats_are_counted_by_producer()
    {
        var sequences = new ProducerSequences();

        Assert.Equal(SequenceVerdict.Next, sequences.Observe(Record("a", 1)));
        Assert.Equal(SequenceVerdict.Next, sequences.Observe(Record("b", 1)));
        Assert.Equal(SequenceVerdict.AfterGap, sequences.Observe(Record("a", 4)));
        Assert.Equal(SequenceVerdict.Repeat, sequences.Observe(Record("a", 4)));
        Assert.Equal(SequenceVerdict.Repeat, sequences.Observe(Record("a", 2)));
        Assert.Equal(SequenceVerdict.AfterGap, sequences.Observe(Record("c", 2)));
        Assert.Equal((3, 2), (sequences.Missing, sequences.Repeats));
    }

    [Fact]
    public void They_go_on_from_a_checkpoint()
    {
        var first = new ProducerSequences();
        first.Observe(Record("a", 1));
        first.Observe(Record("a", 3));
        var second = new ProducerSequences();

        second.Restore(first.Producers, first.Missing, first.Repeats);

        Assert.Equal(SequenceVerdict.Repeat, second.Observe(Record("a", 3)));
        Assert.Equal(SequenceVerdict.Next, second.Observe(Record("a", 4)));
        Assert.Equal((1, 1), (second.Missing, second.Repeats));
        Assert.Equal(new(4, 44), second.Producers["a"]);
    }

    // Dead letters arrived, so they are not missing; their numbers move nothing, since they may be wrong.
    [Fact]
    public void What_was_dead_lettered_is_not_missing()
    {
        var sequences = new ProducerSequences();
        sequences.Observe(Record("a", 1));
        foreach (var dead in (ulong[])[2, 3, 3, 1, 1UL << 50])
            sequences.ObserveDead("a", dead, 0);

        Assert.Equal(SequenceVerdict.AfterGap, sequences.Observe(Record("a", 6)));
        Assert.Equal(SequenceVerdict.Repeat, sequences.Observe(Record("a", 3)));
        Assert.Equal(SequenceVerdict.Next, sequences.Observe(Record("a", 7)));

        // 4 and 5 never came.
        Assert.Equal((2, 1), (sequences.Missing, sequences.Repeats));
        sequences.ObserveDead("new", 1, 0);
        Assert.Equal(SequenceVerdict.Next, sequences.Observe(Record("new", 2)));
        Assert.Equal(2, sequences.Missing);
    }

    [Fact]
    public void Stream_ids_order_as_redis_orders_them()
    {
        Assert.True(StreamId.Parse("5-10") > StreamId.Parse("5-9"));
        Assert.True(StreamId.Parse("6-0") > StreamId.Parse("5-99999999999"));
        Assert.True(StreamId.Parse("5-1") >= StreamId.Parse("5-1"));
        Assert.True(StreamId.Zero < StreamId.Parse("0-1"));
        Assert.Equal("1510000000000-3", StreamId.Parse("1510000000000-3").ToString());
        foreach (var text in (string[])["", "5", "-5", "5-", "5-x", " 5-1", "5-1 ", "+5-1", "5--1"])
            Assert.Throws<FormatException>(() => StreamId.Parse(text));
    }

    private static TeacherRecord Record(string producer, ulong sequence) =>
        new() { ProducerId = producer, Sequence = sequence, EventTimeMs = (long)sequence * 11 };
}
