using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Tests.Training;

public sealed class LabelJoinsTests
{
    private const long Second = 1000;
    private static readonly LabelsConfig Config = new() { WindowSeconds = 60, MaxOpen = 3 };

    private readonly LabelJoins joins = new(Config, ["click"]);

    [Fact]
    public void A_label_finds_its_record_and_is_learned_without_its_soft_labels()
    {
        joins.Observe(Record("a", 0));
        joins.Remember("a", new("ranker", 3, [1, 2], null, [3, 4], null, null));

        var join = joins.Join(Labels("a", 5 * Second));

        Assert.Empty(join!.Record.Outputs);
        Assert.Equal<byte>([1, 2], join.Record.Labels[0].States.ToByteArray());
        Assert.Equal([3, 4], join.Scores!.StudentLatest!);
        Assert.Equal(new() { Joined = 1 }, joins.Counters);
    }

    [Fact]
    public void A_second_label_and_one_for_a_record_that_had_its_own_are_duplicates()
    {
        joins.Observe(Record("a", 0));
        joins.Join(Labels("a", 1));
        joins.Observe(LabelJoins.With(Record("b", 0), Labels("b", 1).Labels));

        Assert.Null(joins.Join(Labels("a", 2)));
        Assert.Null(joins.Join(Labels("b", 2)));

        Assert.Equal(new() { Joined = 1, Duplicate = 2 }, joins.Counters);
    }

    // By its own time the label is late, or the clock of the records has gone past its window.
    [Fact]
    public void A_label_after_the_window_is_late()
    {
        joins.Observe(Record("a", 0));
        Assert.Null(joins.Join(Labels("a", 61 * Second)));
        joins.Observe(Record("b", 61 * Second));
        Assert.Null(joins.Join(Labels("a", 10 * Second)));

        Assert.Equal(new() { Late = 2, Expired = 1, Open = 1 }, joins.Counters);
    }

    [Fact]
    public void A_label_that_overtook_its_record_waits_for_it()
    {
        Assert.Null(joins.Join(Labels("a", 0)));

        Assert.Equal<byte>([1, 2], joins.Observe(Record("a", Second)).Labels[0].States.ToByteArray());

        Assert.Equal(new() { Joined = 1 }, joins.Counters);
        Assert.False(joins.IsOpen("a"));
    }

    [Fact]
    public void A_label_of_no_record_is_counted_when_its_window_is_over()
    {
        joins.Observe(Record("a", 0));
        joins.Join(Labels("nobody", 0));
        Assert.Equal(0, joins.Counters.Unmatched);

        joins.Observe(Record("b", 61 * Second));

        Assert.Equal(1, joins.Counters.Unmatched);
    }

    [Fact]
    public void Labels_for_another_number_of_candidates_are_not_learned()
    {
        joins.Observe(Record("a", 0));
        var wrong = Labels("a", 1);
        wrong.Labels[0].States = ByteString.CopyFrom(1);

        Assert.Null(joins.Join(wrong));
        Assert.NotNull(joins.Join(Labels("a", 2)));

        Assert.Equal(new() { Joined = 1, Mismatched = 1 }, joins.Counters);
    }

    [Fact]
    public void The_oldest_gives_way_when_too_many_wait()
    {
        foreach (var id in (string[])["a", "b", "c", "d", "e"])
            joins.Observe(Record(id, 0));

        Assert.False(joins.IsOpen("a"));
        Assert.True(joins.IsOpen("e"));
        Assert.Null(joins.Join(Labels("a", 1)));
        Assert.Equal(1, joins.Counters.Late);
    }

    [Fact]
    public void They_go_on_from_a_checkpoint()
    {
        joins.Observe(Record("a", 0));
        joins.Remember("a", new("ranker", 3, [1, 2], null, [3, 4], [5, 6], null));
        joins.Observe(Record("b", 0));
        joins.Join(Labels("b", 1));
        joins.Join(Labels("early", 1));
        using var stream = new MemoryStream();
        joins.Save()(stream);
        stream.Position = 0;
        var restored = new LabelJoins(Config, ["click"]);

        restored.Restore(stream);

        Assert.Equal(joins.Counters, restored.Counters);
        Assert.Null(restored.Join(Labels("b", 2)));
        Assert.Equal([5, 6], restored.Join(Labels("a", 2))!.Scores!.StudentLabelsOnly!);
        Assert.NotEmpty(restored.Observe(Record("early", 2)).Labels);
        Assert.Equal(new() { Joined = 3, Duplicate = 1 }, restored.Counters);
        Assert.Throws<InvalidDataException>(() => new LabelJoins(Config, ["click"]).Restore(new MemoryStream([1, 0, 0, 0, 5])));
    }

    private static TeacherRecord Record(string id, long atMs) => new()
    {
        RequestId = id,
        EventTimeMs = 1_700_000_000_000 + atMs,
        CandidateCount = 2,
        Outputs = { new TeacherOutput { Teacher = "t", Target = "click", Logits = { 1, 2 } } },
        Origin = ByteString.CopyFrom(1, 1),
        SamplingLogQ = { 0, 0 },
    };

    private static LabelRecord Labels(string id, long atMs) => new()
    {
        RequestId = id,
        EventTimeMs = 1_700_000_000_000 + atMs,
        Labels = { new TargetLabels { Target = "click", States = ByteString.CopyFrom(1, 2) } },
    };
}
