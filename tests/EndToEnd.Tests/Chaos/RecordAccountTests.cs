using System.Globalization;
using System.Text;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

/// <summary>The books find what is lost, what is applied twice, and what is neither; checked on streams whose account is known.</summary>
public sealed class RecordAccountTests
{
    [Fact]
    public void All_is_applied_once_by_batches_that_follow_each_other()
    {
        var account = new RecordAccount([Record(1), Record(2), Record(3), Record(4)]);
        Assert.Equal((4, 0), account.Applied([(Id(0), Id(2)), (Id(2), Id(4))]));
        Assert.Equal(0, account.MissingInRedis(4));
    }

    [Fact]
    public void A_hole_between_batches_is_a_loss()
    {
        var account = new RecordAccount([Record(1), Record(2), Record(3), Record(4)]);
        Assert.Equal((3, 0), account.Applied([(Id(0), Id(2)), (Id(3), Id(4))]));
    }

    [Fact]
    public void Batches_that_overlap_apply_twice()
    {
        var account = new RecordAccount([Record(1), Record(2), Record(3), Record(4)]);
        Assert.Equal((4, 2), account.Applied([(Id(0), Id(3)), (Id(1), Id(4))]));
    }

    // A reply was lost, the append repeated: two entries, one record.
    [Fact]
    public void A_repeat_counts_once()
    {
        var account = new RecordAccount([Record(1), Record(2, sequence: 1), Record(3, sequence: 2)]);
        Assert.Equal((2, 0), account.Applied([(Id(0), Id(3))]));
        Assert.Equal((3, 2, 1), (account.Entries, account.Records, account.Repeats));
    }

    [Fact]
    public void What_Redis_acknowledged_and_does_not_hold_is_missed()
    {
        var account = new RecordAccount([Record(1), Record(2, sequence: 3)]);
        Assert.Equal(2, account.MissingInRedis(4));
    }

    [Fact]
    public void Poison_is_found_among_the_dead_letters_and_sound_records_must_not_be()
    {
        var account = new RecordAccount([Record(1), Poison(2, 1), Poison(3, 1), Poison(4, 2)]);
        Assert.Equal(1, account.DeadLettered([Id(2), Id(3)]));
        Assert.Equal(2, account.DeadLettered([Id(2), Id(4)]));
        Assert.Equal(0, account.SoundDeadLettered([Id(2), Id(4)]));
        Assert.Equal(1, account.SoundDeadLettered([Id(1)]));
    }

    private static AofEntry Record(long id, ulong? sequence = null) =>
        new("kd:m:logits", Id(id), [.. Field("v", "1"), "r"u8.ToArray(), new TeacherRecord { ProducerId = "p", Sequence = sequence ?? (ulong)id }.ToByteArray()]);

    private static AofEntry Poison(long id, long number) =>
        new("kd:m:logits", Id(id), [.. Field("r", "?"), .. Field(ChaosProducer.PoisonField, number.ToString(CultureInfo.InvariantCulture))]);

    private static byte[][] Field(string name, string value) => [Encoding.UTF8.GetBytes(name), Encoding.UTF8.GetBytes(value)];

    private static StreamId Id(long ms) => new(ms, 0);
}
