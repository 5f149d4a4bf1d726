using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Training;
using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

public sealed class FailoverAccountTests
{
    // The replica follows from 2 on and has not got 4 and 5 when its primary dies; 6 is written to it.
    private static readonly AofEntry[][] Files = [[Record(1), Record(2), Record(3), Record(4), Record(5)], [Record(2), Record(3), Record(6)]];

    [Fact]
    public void What_nobody_read_in_time_is_lost()
    {
        var account = new FailoverAccount(Files, "s", [Batch(0, 2, 2), Batch(2, 6, 2)]);

        Assert.Equal((2, 2, 0, 0), (account.NotReplicated, account.Lost(6), account.Twice, account.Unexplained));
    }

    [Fact]
    public void What_was_read_before_its_server_died_is_not()
    {
        var account = new FailoverAccount(Files, "s", [Batch(0, 2, 2), Batch(2, 6, 3)]);

        // 3, 4 and 6: of the two that went, the first one was read.
        Assert.Equal((2, 1, 0, 0), (account.NotReplicated, account.Lost(6), account.Twice, account.Unexplained));
    }

    [Fact]
    public void Books_that_do_not_add_up_are_seen()
    {
        Assert.Equal(1, new FailoverAccount(Files, "s", [Batch(0, 2, 2), Batch(2, 6, 5)]).Unexplained);
        Assert.Equal(1, new FailoverAccount(Files, "s", [Batch(0, 2, 2), Batch(2, 6, 1)]).Unexplained);
        Assert.Equal(1, new FailoverAccount(Files, "s", [Batch(0, 2, 2), Batch(1, 6, 3)]).Twice);
    }

    private static StreamRange Batch(long after, long last, int count) => new($"{after}-0", $"{last}-0", count);

    private static AofEntry Record(long id) =>
        new("s", new(id, 0), ["r"u8.ToArray(), new TeacherRecord { ProducerId = "p", Sequence = (ulong)id }.ToByteArray()]);
}
