using KdServing.Contracts;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class RefreshPolicyTests
{
    [Theory]
    [InlineData(5.0, null, 5.0, 1, true)]
    [InlineData(5.0, null, 4.9, 1_000_000, false)]
    [InlineData(5.0, null, 100.0, 0, false)]
    [InlineData(null, 100L, 0.0, 100, true)]
    [InlineData(null, 100L, 1e9, 99, false)]
    [InlineData(5.0, 100L, 1.0, 100, true)]
    public void A_version_is_due_by_time_or_by_records_but_never_without_news(double? seconds, long? records, double since, long learned, bool due) =>
        Assert.Equal(due, new RefreshPolicy { Seconds = seconds, Records = records }.IsDue(since, learned));

    [Fact]
    public void A_policy_that_makes_no_sense_names_its_field()
    {
        Assert.Equal("refresh", Fault(new() { Seconds = null }));
        Assert.Equal("refresh.seconds", Fault(new() { Seconds = 0 }));
        Assert.Equal("refresh.records", Fault(new() { Records = -1 }));
        Assert.Equal("refresh.base_every", Fault(new() { BaseEvery = 0 }));

        static string Fault(RefreshPolicy policy) => Assert.Throws<ContractException>(() => policy.Require("refresh")).Field;
    }
}
